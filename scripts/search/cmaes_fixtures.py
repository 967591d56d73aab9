"""Writes what tests of CMA-ES compare with: distributions that the package `cmaes` learns from given populations, margins
that it gives to whole numbers, and how near it comes to the minimum of some functions.

    python -m venv VENV && VENV/bin/pip install numpy==2.4.6 cmaes==0.13.1
    VENV/bin/python scripts/search/cmaes_fixtures.py
"""

import json
import math
import pathlib

import numpy as np
from cmaes import CMA, CMAwM

FOLDER = pathlib.Path(__file__).parents[2] / "crates/luthier-search/tests/fixtures"
EVALUATIONS, SEEDS = 400, 20


def ellipsoid(x):
    d = len(x)
    return sum(10 ** (4 * i / (d - 1)) * (v - 0.4) ** 2 for i, v in enumerate(x))


def sphere(x):
    return sum((v - 0.4) ** 2 for v in x)


def rosenbrock(x):
    y = [4 * v - 1.5 for v in x]
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(y, y[1:]))


def updates():
    cases = []
    for d, population in [(2, None), (5, None), (5, 11), (9, None)]:
        optimizer = CMA(mean=np.full(d, 0.5), sigma=0.2, seed=d, population_size=population)
        generations = []
        for _ in range(6):
            points = [optimizer.ask() for _ in range(optimizer.population_size)]
            points.sort(key=ellipsoid)
            optimizer.tell([(x, ellipsoid(x)) for x in points])
            generations.append(
                {
                    "population": [x.tolist() for x in points],
                    "mean": optimizer._mean.tolist(),
                    "sigma": float(optimizer._sigma),
                    "covariance": optimizer._C.tolist(),
                }
            )
        cases.append({"dimensions": d, "population": optimizer.population_size, "generations": generations})
    return cases


def margins():
    """Mean, deviation, correction and thresholds before; mean and correction after."""
    cases = []
    for seed in range(3):
        d = 3
        optimizer = CMAwM(
            mean=np.array([3.0, 5.2, 0.5]),
            sigma=1.0,
            bounds=np.array([[0, 9], [0, 9], [0, 1]]),
            steps=np.array([1.0, 1.0, 1.0]),
            seed=seed,
        )
        for _ in range(10):
            solutions = []
            for _ in range(optimizer.population_size):
                x, raw = optimizer.ask()
                solutions.append((raw, float(sum((x - np.array([6, 0, 1])) ** 2))))
            before = optimizer._A.copy()
            # The same step without a margin, for the mean that it corrects.
            plain = CMA.__new__(CMA)
            plain.__dict__.update({k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in optimizer._cma.__dict__.items()})
            plain.tell(list(solutions))
            optimizer.tell(solutions)
            for j in range(d):
                cases.append(
                    {
                        "mean": float(plain._mean[j]),
                        "deviation": float(plain._sigma * math.sqrt(plain._C[j][j])),
                        "correction": float(before[j]),
                        "low": float(optimizer.m_z_lim_low[j]),
                        "high": float(optimizer.m_z_lim_up[j]),
                        "alpha": float(optimizer.margin),
                        "corrected": [float(optimizer._cma._mean[j]), float(optimizer._A[j])],
                    }
                )
    return cases


def quality():
    found = {}
    for function, d in [(sphere, 5), (ellipsoid, 5), (rosenbrock, 4)]:
        logs = []
        for seed in range(SEEDS):
            bounds = np.tile([0.0, 1.0], (d, 1))
            optimizer = CMA(mean=np.full(d, 0.5), sigma=0.2, bounds=bounds, seed=seed)
            best, left = math.inf, EVALUATIONS
            while left >= optimizer.population_size:
                points = [optimizer.ask() for _ in range(optimizer.population_size)]
                left -= len(points)
                told = [(x, function(x)) for x in points]
                best = min([best] + [value for _, value in told])
                optimizer.tell(told)
            logs.append(math.log10(best))
        found[function.__name__] = {"dimensions": d, "mean_log10": float(np.mean(logs)), "error": float(np.std(logs, ddof=1) / math.sqrt(SEEDS))}
    return {"evaluations": EVALUATIONS, "seeds": SEEDS, "functions": found}


def main():
    fixture = {"updates": updates(), "margins": margins(), "quality": quality()}
    FOLDER.joinpath("cmaes.json").write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
