"""Writes small studies of Optuna 5 for the tests of luthier-storage: databases, journals, and what Optuna reads in them.

    python -m venv VENV && VENV/bin/pip install optuna==5.0.0
    VENV/bin/python scripts/optuna/fixtures.py

`mixed.sqlite` and `mixed.journal` come from the same program: every state and kind of range, infinite and missing numbers,
attributes, a study with two objectives beside it, and in the journal a study that was deleted. `mixed.sqlite.json` and
`mixed.journal.json` say what Optuna itself reads there. `parabola.sqlite` and `parabola.journal` are a search by TPE.

With `--optuna-2 VENV` (Python with optuna==2.10.1, "sqlalchemy<2", "numpy<2") it also writes `version2.sqlite`, whose ranges are
those of before version 3.
"""

import argparse
import datetime
import json
import logging
import math
import pathlib
import sqlite3
import subprocess
import warnings

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState, create_trial

FOLDER = pathlib.Path(__file__).parents[2] / "crates/luthier-storage/tests/fixtures/optuna"


def objective(trial):
    """One of everything; what becomes of a trial depends on its number."""
    number = trial.number
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    drop = trial.suggest_float("drop", 0.0, 0.5, step=0.05)
    layers = trial.suggest_int("layers", 1, 9, step=2)
    units = trial.suggest_int("units", 4, 512, log=True)
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", None])
    if optimizer == "sgd":
        trial.suggest_float("momentum", 0.0, 0.99)
    trial.suggest_categorical("nesterov", [True, False])
    trial.suggest_categorical("batch", [16, 32, 2.5, "full"])
    # A range that changes from trial to trial.
    trial.suggest_int("epochs", 1, 5 + number % 3)
    value = -((math.log10(rate) + 3) ** 2) - drop + 0.01 * layers + 0.001 * math.log2(units)
    for step in range(0, 4):
        report = {(2, 0): math.nan, (2, 1): math.inf, (2, 2): -math.inf}.get((number, step), value - 1 / (step + 1))
        trial.report(report, step)
        if number in (3, 7) and step == 2:
            raise optuna.TrialPruned
    trial.set_user_attr("note", {"text": "é\n\"quoted\"", "list": [1, 2.5, None, True]})
    if number == 1:
        trial.set_user_attr("not a number", math.nan)
        trial.storage.set_trial_system_attr(trial._trial_id, "sampler:state", [1, 2, 3])
    if number == 4:
        raise ValueError("no luck")
    return {5: math.nan, 6: -math.inf}.get(number, value)


def mixed(storage):
    study = optuna.create_study(
        study_name="mixed", storage=storage, direction="maximize", sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=5)
    )
    study.set_user_attr("author", "somebody")
    study.set_metric_names(["accuracy"])
    study.optimize(objective, n_trials=9, catch=(ValueError,))
    left = study.ask()
    left.suggest_float("rate", 1e-5, 1e-1, log=True)
    left.report(-3.5, 0)
    study.enqueue_trial({"rate": 0.01})
    # Behind the one that waits, with times of its own.
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE,
            value=-0.5,
            params={"rate": 0.001},
            distributions={"rate": FloatDistribution(1e-5, 1e-1, log=True)},
            intermediate_values={1: -0.75, 10: -0.5},
            user_attrs={"by hand": True},
        )
    )
    two = optuna.create_study(study_name="two", storage=storage, directions=["minimize", "maximize"])
    two.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=1)
    return study


def parabola(storage):
    study = optuna.create_study(
        study_name="parabola", storage=storage, sampler=optuna.samplers.TPESampler(seed=3, n_startup_trials=5)
    )
    study.optimize(lambda t: (t.suggest_float("x", -10, 10) - 2) ** 2 + t.suggest_int("n", 1, 5), n_trials=25)


def seen(study):
    """What Optuna reads, with what JSON does not have as text."""

    def plain(value):
        if isinstance(value, float) and not math.isfinite(value):
            return {"nan": "nan", "inf": "inf", "-inf": "-inf"}[str(value)]
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

    def microseconds(time):
        since = time.astimezone(datetime.timezone.utc) - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return since // datetime.timedelta(microseconds=1)

    def trial(t):
        return {
            "number": t.number,
            "state": t.state.name,
            "value": t.value,
            "params": t.params,
            "distributions": {name: json.loads(optuna.distributions.distribution_to_json(d)) for name, d in t.distributions.items()},
            "reports": t.intermediate_values,
            "user": t.user_attrs,
            "system": t.system_attrs,
            "started_us": t.datetime_start and microseconds(t.datetime_start),
            "ended_us": t.datetime_complete and microseconds(t.datetime_complete),
        }

    trials = [plain(trial(t)) for t in study.get_trials(deepcopy=False)]
    return {"user": plain(study.user_attrs), "best": study.best_trial.number, "trials": trials}


VERSION_2 = """
import sys, optuna
study = optuna.create_study(study_name="old", storage="sqlite:///" + sys.argv[1])
def objective(trial):
    x = trial.suggest_uniform("x", -1, 1)
    rate = trial.suggest_loguniform("rate", 1e-5, 1e-1)
    q = trial.suggest_discrete_uniform("q", 0, 1, 0.25)
    n = trial.suggest_int("n", 1, 9, 2)
    m = trial.suggest_int("m", 1, 64, log=True)
    trial.suggest_categorical("c", ["a", "b"])
    trial.report({0: float("inf"), 1: float("-inf")}.get(trial.number, x), 1)
    if trial.number == 2:
        raise optuna.TrialPruned
    return x * x + q
study.sampler = optuna.samplers.RandomSampler(seed=1)
study.optimize(objective, n_trials=4)
"""


def shrink(path):
    """Small pages, since most tables of a small study hold next to nothing."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 512")
    connection.execute("VACUUM")
    connection.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--optuna-2", type=pathlib.Path, help="a virtual environment with Optuna 2.10")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(logging.ERROR)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, program in [("mixed", mixed), ("parabola", parabola)]:
        database, journal = FOLDER / f"{name}.sqlite", FOLDER / f"{name}.journal"
        database.unlink(missing_ok=True)
        journal.unlink(missing_ok=True)
        study = program(RDBStorage(f"sqlite:///{database}"))
        shrink(database)
        storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal))))
        if name == "mixed":
            gone = optuna.create_study(study_name="gone", storage=storage)
            gone.optimize(lambda trial: 1.0, n_trials=2)
            optuna.delete_study(study_name="gone", storage=storage)
        journaled = program(storage)
        if name == "mixed":
            for path, written in [(database, study), (journal, journaled)]:
                text = json.dumps(seen(written), indent=1, allow_nan=False, ensure_ascii=False)
                path.with_name(path.name + ".json").write_text(text + "\n")
    if arguments.optuna_2:
        old = FOLDER / "version2.sqlite"
        old.unlink(missing_ok=True)
        subprocess.run([arguments.optuna_2 / "bin/python", "-W", "ignore", "-c", VERSION_2, old], check=True)
        shrink(old)


if __name__ == "__main__":
    main()
