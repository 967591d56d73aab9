"""Writes the fixtures of luthier-search: what SciPy, NumPy and Optuna say.

    python -m venv VENV && VENV/bin/pip install numpy==2.4.6 scipy==1.17.1 optuna==5.0.0
    VENV/bin/python scripts/search/tpe_fixtures.py

The problems are written a second time in crates/luthier-search/tests/problems/mod.rs; each loss is 0 at its best.
"""

import json
import math
import pathlib
import statistics

import numpy as np
import optuna
from scipy import stats

SEEDS, TRIALS = 40, 60
FOLDER = pathlib.Path(__file__).parents[2] / "crates/luthier-search/tests/fixtures"


def bowl(trial):
    x = [trial.suggest_float(f"x{i}", -5, 5) for i in range(4)]
    y = [x[0] - 1 + 0.5 * (x[1] + 2), x[1] + 2 - 0.5 * (x[0] - 1), x[2] - 0.5 + 0.3 * (x[3] - 3), x[3] - 3]
    return sum(w * v * v for w, v in zip((1, 0.5, 2, 0.25), y))


def mixed(trial):
    kind = trial.suggest_categorical("kind", ["a", "b", "c", "d"])
    rate = trial.suggest_float("rate", 1e-5, 1, log=True)
    units = trial.suggest_int("units", 4, 512, log=True)
    layers = trial.suggest_int("layers", 1, 6)
    dropout = trial.suggest_float("dropout", 0, 0.8)
    best = {"a": -3.5, "b": -2.5, "c": -1.5, "d": -3}[kind]
    penalty = {"a": 0.4, "b": 0, "c": 0.8, "d": 0.2}[kind]
    return (
        penalty
        + 0.5 * (math.log10(rate) - best) ** 2
        + 0.1 * (math.log2(units) - 7) ** 2
        + 0.08 * (layers - 4) ** 2
        + 2 * (dropout - 0.3) ** 2
    )


def conditional(trial):
    kind = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    if kind == "adam":
        rate = math.log10(trial.suggest_float("adam_rate", 1e-5, 1e-1, log=True))
        beta = trial.suggest_float("beta", 0.8, 0.999)
        loss = 0.3 + 0.4 * (rate + 3) ** 2 + 20 * (beta - 0.9) ** 2
    else:
        rate = math.log10(trial.suggest_float("sgd_rate", 1e-4, 1, log=True))
        momentum = trial.suggest_float("momentum", 0, 0.99)
        loss = 0.4 * (rate + 1.5 + momentum) ** 2 + (momentum - 0.9) ** 2
    layers = trial.suggest_int("layers", 1, 3)
    loss += 0.2 * (3 - layers)
    for i in range(1, layers + 1):
        loss += 0.05 * (math.log2(trial.suggest_int(f"units{i}", 8, 256, log=True)) - 7 + i / 2) ** 2
    return loss


def branin(trial):
    x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
    a = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


def hartmann6(trial):
    x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(6)]
    a = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    p = [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
    loss = 3.322368011391339
    for weight, row, centre in zip((1, 1.2, 3, 3.2), a, p):
        loss -= weight * math.exp(-sum(r * (v - c * 1e-4) ** 2 for r, v, c in zip(row, x, centre)))
    return loss


def ripples(trial):
    x = [trial.suggest_float(f"x{i}", -2, 3) for i in range(3)]
    return sum((v - 0.7) ** 2 + 0.5 * (1 - math.cos(2 * math.pi * (v - 0.7))) for v in x)


PROBLEMS = (bowl, mixed, conditional, branin, hartmann6, ripples)


def best_losses(problem, sampler):
    found = []
    for seed in range(SEEDS):
        study = optuna.create_study(sampler=sampler(seed=seed))
        study.optimize(problem, n_trials=TRIALS)
        found.append(study.best_value)
    return {
        "mean": statistics.fmean(found),
        "standard_error": statistics.stdev(found) / math.sqrt(SEEDS),
    }


def truncated_normals():
    cases = []
    for mu in (0.0, 0.013, 0.5, 0.97, 1.0):
        for sigma in (0.01, 0.05, 0.3, 1.0, 4.0):
            kernel = stats.truncnorm((0 - mu) / sigma, (1 - mu) / sigma, loc=mu, scale=sigma)
            for low, high in ((0.0, 0.1), (0.4, 0.6), (0.5, 0.50001), (0.9, 1.0), (0.0, 1.0)):
                if abs((low + high) / 2 - mu) / sigma > 30:
                    continue  # below the smallest double
                middle = (low + high) / 2
                # In the right tail the survival function keeps the digits that the distribution function loses.
                mass = kernel.sf(low) - kernel.sf(high) if low >= mu else kernel.cdf(high) - kernel.cdf(low)
                cases.append(
                    {
                        "mu": mu, "sigma": sigma, "low": low, "high": high,
                        "log_density": kernel.logpdf(middle), "log_mass": math.log(mass),
                    }
                )
    return cases


def percentiles():
    rng = np.random.default_rng(0)
    cases = []
    for n in (1, 2, 5, 10, 33):
        values = rng.normal(size=n).tolist()
        for percentile in (0, 10, 25, 50, 66.6, 100):
            cases.append({"values": values, "percentile": percentile, "expected": np.percentile(values, percentile)})
    return cases


def write(name, content):
    (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n")


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("truncated_normal.json", truncated_normals())
    write("percentile.json", percentiles())
    write(
        "optuna.json",
        {
            "optuna": optuna.__version__,
            "seeds": SEEDS,
            "trials": TRIALS,
            "problems": {
                problem.__name__: {
                    "tpe": best_losses(problem, optuna.samplers.TPESampler),
                    "random": best_losses(problem, optuna.samplers.RandomSampler),
                }
                for problem in PROBLEMS
            },
        },
    )


if __name__ == "__main__":
    main()
