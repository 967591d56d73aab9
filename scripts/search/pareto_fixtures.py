"""Writes what tests of luthier_search::pareto compare with: ranks, crowding distances and hypervolumes of point sets.

    python -m venv VENV && VENV/bin/pip install numpy==2.4.6 pymoo==0.6.2 optuna==5.0.0
    VENV/bin/python scripts/search/pareto_fixtures.py
"""

import json
import pathlib

import numpy as np
from optuna._hypervolume import compute_hypervolume
from pymoo.indicators.hv import HV
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

FOLDER = pathlib.Path(__file__).parents[2] / "crates/luthier-search/tests/fixtures"


def finite(values):
    return [float(x) if np.isfinite(x) else None for x in values]


def described(points, reference):
    ranks = np.empty(len(points), dtype=int)
    fronts = NonDominatedSorting().do(points)
    for rank, front in enumerate(fronts):
        ranks[front] = rank
    front = points[np.sort(fronts[0])]
    inside = points[(points <= reference).all(axis=1)]
    return {
        "points": points.tolist(),
        "reference": reference.tolist(),
        "ranks": ranks.tolist(),
        "crowding": finite(calc_crowding_distance(front)),
        "hypervolume": {
            "pymoo": float(HV(ref_point=reference)(points)),
            "optuna": float(compute_hypervolume(inside, reference)),
        },
    }


def main():
    rng = np.random.default_rng(0)
    sets = []
    for objectives, n in [(2, 8), (2, 12), (2, 40), (3, 12), (3, 30), (4, 14), (5, 10)]:
        uniform = rng.uniform(size=(n, objectives))
        sphere = np.abs(rng.normal(size=(n, objectives)))
        sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
        for points in (uniform, sphere):
            # Some outside the reference, some equal in an objective; none twice, which pymoo's crowding leaves out.
            points = np.unique(np.round(points, 3), axis=0)
            rng.shuffle(points)
            sets.append(described(points, np.full(objectives, 0.9)))
            sets.append(described(points, np.full(objectives, 1.1)))
    FOLDER.joinpath("pareto.json").write_text(json.dumps({"sets": sets}) + "\n")


if __name__ == "__main__":
    main()
