"""Differences with the chance that SciPy's signed-rank test gives them, for the test of the Wilcoxon pruner.

    python scripts/search/wilcoxon_fixtures.py > crates/luthier-search/src/pruner/wilcoxon_fixtures.json
"""

import json

import numpy as np
from scipy.stats import wilcoxon

rng = np.random.default_rng(0)
cases = []
for n, digits in [(2, 9), (4, 9), (7, 9), (20, 9), (50, 9), (60, 9), (8, 1), (15, 1), (30, 1), (12, 0), (40, 0), (70, 0)]:
    d = np.round(rng.normal(0.3, 1.0, n), digits)
    plain = n <= 50 and len(set(np.abs(d))) == n and np.all(d != 0)
    p = wilcoxon(
        d, alternative="greater", zero_method="zsplit", correction=False, method="exact" if plain else "asymptotic"
    ).pvalue
    cases.append({"differences": d.tolist(), "p": float(p)})
print(json.dumps(cases))
