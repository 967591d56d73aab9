"""Writes crates/luthier-search/tests/fixtures/importance.json: what Optuna says of the importance of parameters.

    python -m venv VENV && VENV/bin/pip install numpy==2.4.6 optuna==5.0.0 scikit-learn==1.9.1
    VENV/bin/python scripts/search/importance_fixtures.py

Trials are written with their values, so that both sides judge the same. PED-ANOVA has no randomness: figures agree to
1e-9. fANOVA has a forest: figures are Optuna's means over seeds, and the shares that are known from analysis.
"""

import json
import math
import pathlib
import statistics
import warnings

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.study._multi_objective import _fast_non_domination_rank

PATH = pathlib.Path(__file__).parents[2] / "crates/luthier-search/tests/fixtures/importance.json"


def linear(trial):
    x, y, z = (trial.suggest_float(name, 0, 1) for name in "xyz")
    return 4 * x + 2 * y + z


def ishigami(trial):
    x, y, z = (trial.suggest_float(name, -math.pi, math.pi) for name in "xyz")
    return math.sin(x) + 7 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x)


def mixed(trial):
    kind = trial.suggest_categorical("kind", ["a", "b", "c", "d"])
    rate = math.log10(trial.suggest_float("rate", 1e-5, 1, log=True))
    units = math.log2(trial.suggest_int("units", 4, 512, log=True))
    layers = trial.suggest_int("layers", 1, 6)
    wide = trial.suggest_int("wide", 0, 900, step=3)
    share = trial.suggest_float("share", 0, 1, step=0.1)
    one = trial.suggest_float("one", 2, 2)
    best = {"a": -3.5, "b": -2.5, "c": -1.5, "d": -3}[kind]
    value = 0.5 * (rate - best) ** 2 + 0.1 * (units - 7) ** 2 + 0.08 * (layers - 4) ** 2 + 0.3 * share
    return value + 1e-4 * wide + one


def conditional(trial):
    kind = trial.suggest_categorical("optimizer", ["adam", "sgd", "rare"])
    if kind == "adam":
        rate = math.log10(trial.suggest_float("adam_rate", 1e-5, 1e-1, log=True))
        loss = 0.3 + 0.4 * (rate + 3) ** 2
    elif kind == "sgd":
        momentum = trial.suggest_float("momentum", 0, 0.99)
        rate = math.log10(trial.suggest_float("sgd_rate", 1e-4, 1, log=True))
        loss = 0.4 * (rate + 1.5 + momentum) ** 2
        if trial.suggest_categorical("nesterov", [True, False]):
            loss += 0.2
    else:
        loss = 5
    return loss + 0.2 * trial.suggest_int("layers", 1, 3)


def two(trial):
    x, y, z = (trial.suggest_float(name, 0, 1) for name in "xyz")
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return (x - 0.2) ** 2 + 0.5 * y + 0.1 * (kind == "b"), (x - 0.9) ** 2 + 2 * y * z


# Sobol's indices: of a sum by the squares of its factors; of Ishigami's function (a = 7, b = 0.1) known.
LINEAR = {"x": 16 / 21, "y": 4 / 21, "z": 1 / 21}
FIRST, SECOND = 0.5 * (1 + 0.1 * math.pi**4 / 5) ** 2, 49 / 8
BOTH = 0.01 * math.pi**8 * 8 / 225
ISHIGAMI = {"x": FIRST, "y": SECOND, "z": 0, "x z": BOTH}
ISHIGAMI = {name: part / (FIRST + SECOND + BOTH) for name, part in ISHIGAMI.items()}


def parameter(name, dist):
    if isinstance(dist, CategoricalDistribution):
        return {"name": name, "choices": list(dist.choices)}
    kind = "float" if isinstance(dist, FloatDistribution) else "int"
    return {"name": name, "type": kind, "low": dist.low, "high": dist.high, "log": dist.log, "step": dist.step}


def case(name, problem, trials, direction="minimize", sampler=None, shares=None):
    sampler = sampler or optuna.samplers.RandomSampler(seed=3)
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.optimize(problem, n_trials=trials)
    ranges = {}
    for trial in study.trials:
        ranges.update(trial.distributions)
    found = {
        "name": name,
        "direction": direction,
        "parameters": [parameter(name, dist) for name, dist in ranges.items()],
        "trials": [{"params": trial.params, "value": trial.value} for trial in study.trials],
        "ped_anova": PedAnovaImportanceEvaluator().evaluate(study),
    }
    if shares:
        runs = [FanovaImportanceEvaluator(seed=seed).evaluate(study) for seed in range(5)]
        found["fanova"] = {name: statistics.fmean(run[name] for run in runs) for name in runs[0]}
        found["shares"] = shares
    return found


def several(name, problem, trials):
    """Of each objective, and of the front by the rank of nondominated sorting. Both objectives are minimised."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=optuna.samplers.RandomSampler(seed=3))
    study.optimize(problem, n_trials=trials)
    ranks = _fast_non_domination_rank(np.array([trial.values for trial in study.trials]))
    targets = [lambda trial, k=k: trial.values[k] for k in range(2)] + [lambda trial: float(ranks[trial.number])]
    evaluator = PedAnovaImportanceEvaluator()
    return {
        "name": name,
        "parameters": [parameter(name, dist) for name, dist in study.trials[0].distributions.items()],
        "trials": [{"params": trial.params, "values": trial.values} for trial in study.trials],
        "ped_anova": [evaluator.evaluate(study, target=target) for target in targets],
    }


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    cases = [
        case("linear", linear, 200, shares=LINEAR),
        case("ishigami", ishigami, 500, shares=ISHIGAMI),
        case("mixed", mixed, 120),
        case("mixed, by TPE", mixed, 120, "maximize", optuna.samplers.TPESampler(seed=1)),
        case("conditional", conditional, 150),
        case("conditional, few", conditional, 9),
    ]
    found = {"optuna": optuna.__version__, "cases": cases, "several": several("two objectives", two, 150)}
    text = json.dumps(found, separators=(",", ":"))
    PATH.write_text(text.replace('{"params"', '\n{"params"').replace('{"name":"', '\n{"name":"') + "\n")


if __name__ == "__main__":
    main()
