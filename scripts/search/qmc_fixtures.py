"""Writes what SciPy says of quasi-random sequences, and the direction numbers of Sobol's.

    python -m venv VENV && VENV/bin/pip install numpy==2.4.6 scipy==1.17.1
    VENV/bin/python scripts/search/qmc_fixtures.py
"""

import json
import pathlib

import numpy as np
from scipy.stats import _sobol, qmc

DIMENSIONS = 256
SHOWN = [0, 1, 2, 3, 7, 40, 100, 199, 255]
NUMBERS = [0, 1, 2, 3, 10, 63, 64, 1000, 4095]
CRATE = pathlib.Path(__file__).parents[2] / "crates/luthier-search"


def directions():
    table = np.load(pathlib.Path(_sobol.__file__).parent / "_sobol_direction_numbers.npz")
    rows = []
    for poly, first in zip(table["poly"][1:DIMENSIONS], table["vinit"][1:DIMENSIONS]):
        poly = int(poly)
        degree = poly.bit_length() - 1
        rows.append(f"    ({poly}, &[{', '.join(str(m) for m in first[:degree])}]),\n")
    text = f'''//! The direction numbers of Sobol's sequence, written by `scripts/search/qmc_fixtures.py`.
//!
//! They are those of Joe and Kuo 2008, "Constructing Sobol sequences with better two-dimensional projections", SIAM
//! Journal on Scientific Computing 30(5), table `new-joe-kuo-6`. It is a table, hence its length.

/// For each dimension from the second: the primitive polynomial, its coefficients as bits with the highest power first,
/// and the first direction numbers, as many as its degree.
pub(super) const DIRECTIONS: &[(u32, &[u32])] = &[
{''.join(rows)}];
'''
    (CRATE / "src/sampler/sobol/directions.rs").write_text(text)


def points(engine):
    rows = engine.random(max(NUMBERS) + 1)
    return [[rows[n][j] for j in SHOWN] for n in NUMBERS]


def main():
    directions()
    fixture = {
        "dimensions": SHOWN,
        "numbers": NUMBERS,
        "sobol": points(qmc.Sobol(DIMENSIONS, scramble=False, bits=32)),
        "halton": points(qmc.Halton(DIMENSIONS, scramble=False)),
    }
    (CRATE / "tests/fixtures/quasi_random.json").write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
