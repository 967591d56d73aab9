"""Checks that Optuna 5 reads what `luthier export` writes, and that Luthier goes on with what Optuna wrote.

    python -m venv VENV && VENV/bin/pip install -r scripts/optuna/requirements.txt
    cargo build --release && VENV/bin/python scripts/optuna/check_export.py [--luthier target/release/luthier]

In a temporary folder it tunes a small study, exports it in all formats, and compares each with what `luthier trials`, `best` and
`logs` say. Optuna then computes importances, draws plots and adds trials of its own, and the dashboard's API lists them.
"""

import argparse
import datetime
import json
import logging
import math
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import warnings

import optuna
import pandas

ROOT = pathlib.Path(__file__).parents[2]
STUDY = """
[study]
name = "exported"

[data]
source = { classification = { samples = 200, features = 6, seed = 1 } }

[model]
layers = [
  { repeat = { int = [1, 2] }, layer = { dense = { int = [4, 32], log = true }, activation = "relu" } },
  { dropout = { float = [0.0, 0.5], step = 0.1 } },
]

[train]
epochs = 8
batch_size = { choice = [16, 32] }
optimizer = { choice = [
  { kind = "adam", learning_rate = { float = [1e-4, 1e-1], log = true } },
  { kind = "sgd", learning_rate = { float = [1e-3, 1.0], log = true }, momentum = { float = [0.0, 0.99] } },
] }

[search]
trials = 24
"""

OPTUNA_STATE = {"complete": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL", "infeasible": "FAIL", "paused": "RUNNING"}


def check(what, holds):
    print(f"{'ok' if holds else 'WRONG'}  {what}")
    if not holds:
        raise SystemExit(1)


def tables_agree(folder):
    """The schema of the exported database beside that of one that Optuna makes itself."""

    def schema(path):
        connection = sqlite3.connect(path)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        kinds = "SELECT name, type, \"notnull\", pk FROM pragma_table_info(?)"
        indices = 'SELECT "unique", origin FROM pragma_index_list(?) ORDER BY 1, 2'
        references = 'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY 1'
        return {name: [list(connection.execute(sql, (name,))) for sql in (kinds, indices, references)] for name in names}

    optuna.create_study(storage=f"sqlite:///{folder}/own.db")
    ours, theirs = schema(folder / "optuna.db"), schema(folder / "own.db")
    check(f"the {len(theirs)} tables have Optuna's columns, keys and indices", ours == theirs)


def trials_agree(study, trials, logs):
    check(f"{len(trials)} trials", len(study.trials) == len(trials))
    for theirs, ours in zip(study.trials, trials):
        number = ours["trial"]
        same = theirs.number == number and theirs.state.name == OPTUNA_STATE[ours["state"]] and theirs.params == ours["params"]
        same = same and all(theirs.distributions[name]._contains(d.to_internal_repr(theirs.params[name])) for name, d in theirs.distributions.items())
        if ours["state"] == "complete":
            same = same and theirs.value == ours["value"]
        same = same and theirs.intermediate_values == logs[number] and theirs.user_attrs["luthier:seed"] == ours["seed"]
        taken = (theirs.datetime_complete - theirs.datetime_start).total_seconds()
        same = same and abs(taken - ours["seconds"]) < 1e-5
        if not same:
            check(f"trial {number}: {theirs} is {ours}", False)
    check("states, parameters, values, reports, seeds and times of each trial", True)
    last = max(trial.datetime_start for trial in study.trials)
    check("times are those of today", abs(datetime.datetime.now() - last) < datetime.timedelta(minutes=10))


def optuna_works(url, best):
    study = optuna.load_study(study_name="exported", storage=url, sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=5))
    check(f"the best trial is {best['trial']}, {best['value']}", (study.best_trial.number, study.best_value) == (best["trial"], best["value"]))
    check("the metric has its name", study.metric_names == [best["objective"]])
    importances = optuna.importance.get_param_importances(study)
    print("    importances:", {name: round(value, 3) for name, value in importances.items()})
    check("importances add up to 1", math.isclose(sum(importances.values()), 1, rel_tol=1e-6))
    plots = ["optimization_history", "intermediate_values", "param_importances", "parallel_coordinate", "slice", "contour", "edf", "timeline"]
    parts = [len(getattr(optuna.visualization, f"plot_{plot}")(study).data) for plot in plots]
    check(f"plots: {dict(zip(plots, parts))}", all(parts))

    distributions = {name: range for trial in study.trials for name, range in trial.distributions.items()}
    before = len(study.trials)

    def objective(trial):
        layers = trial._suggest("model.layers.repeat1.repeat", distributions["model.layers.repeat1.repeat"])
        kind = trial._suggest("train.optimizer", distributions["train.optimizer"])
        rate = trial._suggest(f"train.optimizer.{kind}.learning_rate", distributions[f"train.optimizer.{kind}.learning_rate"])
        return 0.5 + 0.01 * layers - 0.01 * abs(math.log10(rate) + 2)

    study.optimize(objective, n_trials=5)
    numbers = [trial.number for trial in study.trials[before:] if trial.state.name == "COMPLETE"]
    check(f"Optuna's TPE added trials {numbers}", numbers == list(range(before, before + 5)))
    copied = optuna.create_study(study_name="copy", storage=url, direction="maximize")
    copied.add_trials(study.trials)
    check("Optuna copies every trial", len(copied.trials) == len(study.trials))
    optuna.delete_study(study_name="copy", storage=url)


def dashboard_works(url, trials):
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        print("--  optuna-dashboard is not installed")
        return

    def get(path, query=""):
        status = []
        environment = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "test", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
        body = b"".join(wsgi(optuna.storages.RDBStorage(url))(environment, lambda code, *_: status.append(code)))
        return status[0], json.loads(body)

    status, studies = get("/api/studies")
    names = [study["study_name"] for study in studies["study_summaries"]]
    check(f"the dashboard lists {names}: {status}", status.startswith("200") and names == ["exported"])
    status, study = get("/api/studies/1", "after=0")
    check(f"the dashboard shows {len(study['trials'])} trials: {status}", status.startswith("200") and len(study["trials"]) == trials)


def tables_of_trials(folder, trials):
    for name, read in [("csv", pandas.read_csv), ("parquet", pandas.read_parquet)]:
        table = read(folder / f"exported.{name}")
        check(f"{name}: {table.shape[0]} rows, {table.shape[1]} columns", list(table["number"]) == [t["trial"] for t in trials])
        for ours, (_, row) in zip(trials, table.iterrows()):
            for parameter in [column for column in table.columns if column.startswith("params.")]:
                value = ours["params"].get(parameter.removeprefix("params."))
                found = row[parameter]
                if (value is None) != bool(pandas.isna(found)) or value is not None and found != value:
                    check(f"{name}, trial {ours['trial']}, {parameter}: {found} is {value}", False)
            if row["seed"] != ours["seed"] or pandas.Timestamp(row["started"]).tzinfo is None:
                check(f"{name}, trial {ours['trial']}: {row}", False)
    read = json.loads((folder / "exported.json").read_text())
    check("json: trials with their reports", [t["params"] for t in read["trials"]] == [t["params"] for t in trials])
    reports = pandas.read_parquet(folder / "reports.parquet")
    check(f"reports: {len(reports)} rows", len(reports) == sum(len(t["reports"]) for t in read["trials"]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--luthier", type=pathlib.Path, default=ROOT / "target/release/luthier")
    program = parser.parse_args().luthier.resolve()
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(logging.WARNING)
    print(f"Optuna {optuna.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def luthier(*words):
            run = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True)
            if run.returncode != 0:
                check(f"luthier {' '.join(words)}: {run.stderr}", False)
            return run.stdout

        (folder / "study.toml").write_text(STUDY)
        luthier("tune", "study.toml")
        trials = json.loads(luthier("trials", "exported", "--json"))
        logs = {t["trial"]: {r["step"]: r["value"] for r in t["reports"]} for t in with_reports(luthier)}
        for file in ["optuna.db", "exported.csv", "exported.parquet", "exported.json"]:
            luthier("export", "exported", "-o", file)
        luthier("export", "exported", "--reports", "-o", "reports.parquet")

        url = f"sqlite:///{folder}/optuna.db"
        tables_agree(folder)
        trials_agree(optuna.load_study(study_name="exported", storage=url), trials, logs)
        tables_of_trials(folder, trials)
        optuna_works(url, json.loads(luthier("best", "exported", "--json")))
        dashboard_works(url, len(trials) + 5)

        luthier("import", "optuna.db", "--name", "returned")
        returned = json.loads(luthier("trials", "returned", "--json"))
        check(f"Luthier reads {len(returned)} trials back, those of Optuna's TPE with them", len(returned) == len(trials) + 5)
        same = [dict(trial, seconds=0) for trial in returned[: len(trials)]] == [dict(trial, seconds=0) for trial in trials]
        check("the first ones are as they were", same)
        there_and_back(folder, luthier)


def there_and_back(folder, luthier):
    """What Optuna wrote, through a storage of Luthier's and back: Optuna reads the same in both."""
    for file in ["mixed.sqlite", "mixed.journal"]:
        path = folder / file
        shutil.copy(ROOT / "crates/luthier-storage/tests/fixtures/optuna" / file, path)
        if file.endswith(".sqlite"):
            storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        else:
            storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
        theirs = optuna.load_study(study_name="mixed", storage=storage)
        luthier("import", file, "--study", "mixed", "--name", file)
        luthier("export", file, "-o", f"{file}.db")
        ours = optuna.load_study(study_name=file, storage=f"sqlite:///{folder}/{file}.db")
        before = [trial for trial in theirs.trials if trial.state.name != "WAITING"]

        def seen(trial):
            infinite = trial.state.name == "COMPLETE" and math.isinf(trial.value)
            params = {name: "none" if value is None else value for name, value in trial.params.items()}
            ranges = {name: str(range).replace("None)", "'none')") for name, range in trial.distributions.items()}
            mine = {"luthier:seed", "luthier:cause", "luthier:outcome"}
            user = {name: value for name, value in sorted(trial.user_attrs.items()) if name not in mine}
            state, values = ("FAIL", None) if infinite else (trial.state.name, trial.values)
            times = [trial.datetime_start, trial.datetime_complete]
            # As text, since a NaN is not equal to itself; a journal's is text in an attribute after that.
            return str([state, values, params, ranges, trial.intermediate_values, user, trial.system_attrs, times]).replace("'nan'", "nan")

        differing = [(a, b) for a, b in zip(map(seen, before), map(seen, ours.trials)) if a != b]
        for a, b in differing:
            print(f"    {a}\n    {b}")
        check(f"{file}: {len(before)} trials are the same after an import and an export", len(before) == len(ours.trials) and not differing)
        check(f"{file}: the best trial and the attributes of the study, too", (theirs.best_trial.number, "somebody") == (ours.best_trial.number, ours.user_attrs["author"]))


def with_reports(luthier):
    written = json.loads(luthier("export", "exported", "--format", "json"))
    return [{"trial": trial["number"], "reports": trial["reports"]} for trial in written["trials"]]


if __name__ == "__main__":
    main()
