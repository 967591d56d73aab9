"""Population based training beside random search and ASHA, at equal epochs, on a part of MNIST.

    python bench/search/pbt.py --luthier target/release/luthier --data FOLDER [--seeds 5] [--write docs/search.md]

FOLDER holds MNIST's four files in `mnist`. Learning rate and dropout of a small network are searched, without a schedule. Every
method gets the epochs of `MEMBERS` whole trainings: PBT and PB2 take exactly these, random search trains so many trials, ASHA gets
trials until its epochs reach them (what it took is in the table). Printed are means over seeds, with the standard errors, of
the winner's accuracy on the validation rows and on the sealed test rows. Python's standard library is enough.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

MEMBERS, EPOCHS, INTERVAL = 12, 20, 2
BUDGET = MEMBERS * EPOCHS

FILE = """[study]
name = "bench"
objective = "val_accuracy"

[data]
source = "mnist"
split = {{ validation = 0.04, test = 0.9, stratify = true, seed = {seed} }}

[model]
layers = [{{ dense = 64, activation = "relu" }}, {{ dropout = {{ float = [0.0, 0.8] }} }}]

[train]
epochs = {epochs}
batch_size = 32
optimizer = {{ kind = "adam", learning_rate = {{ float = [1e-5, 1e-1], log = true }} }}

[search]
seed = {seed}
slots = 4
parallel = {parallel}
{search}
"""

POPULATION = 'sampler = {{ kind = "{}", size = {}, interval = {} }}'
METHODS = {
    "random": f'sampler = "random"\npruner = "none"\ntrials = {MEMBERS}',
    "random + ASHA": 'sampler = "random"\npruner = "asha"',
    "`auto` + ASHA": 'sampler = "auto"\npruner = "asha"',
    "`pbt`": POPULATION.format("pbt", MEMBERS, INTERVAL),
    "`pb2`": POPULATION.format("pb2", MEMBERS, INTERVAL),
}


def epochs_of(luthier, folder):
    """The epochs that a study has taken, and its trials."""
    command = [luthier, "export", "study.toml", "--format", "json"]
    study = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)
    return sum(len(trial["reports"]) for trial in study["trials"]), len(study["trials"])


def until_spent(tune, luthier, folder, budget, asked):
    """Gives a study `asked` trials, then more, until they have taken so many epochs: what `tune` said last, epochs, trials."""
    epochs = 0
    while epochs < budget:
        tuned = tune("--trials", str(asked))
        epochs, trials = epochs_of(luthier, folder)
        # Of what is left two thirds, so that it does not go far beyond.
        asked += max(1, int((budget - epochs) / 1.5 * trials / max(epochs, 1)))
    return tuned, epochs, trials


def run(luthier, data, name, seed, parallel):
    """One study: (validation accuracy, test accuracy, epochs, trials, seconds)."""
    with tempfile.TemporaryDirectory() as folder:
        text = FILE.format(seed=seed, epochs=EPOCHS, parallel=parallel, search=METHODS[name])
        Path(folder, "study.toml").write_text(text)
        environment = {**os.environ, "LUTHIER_DATA": str(Path(data).resolve())}
        began = time.monotonic()

        def tune(*more):
            command = [luthier, "tune", "study.toml", "--json", *more]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            # ASHA may have no whole trial yet.
            return json.loads(done.stdout) if done.returncode == 0 else None

        if "ASHA" not in name:
            tuned = tune()
            epochs, trials = epochs_of(luthier, folder)
        else:
            tuned, epochs, trials = until_spent(tune, luthier, folder, BUDGET, 2 * MEMBERS)
        best = tuned["best"]
        # The winner of a study that was made longer may have been measured before: what `best` has is of the last one.
        shown = subprocess.run([luthier, "best", "study.toml", "--json"], cwd=folder, check=True, capture_output=True)
        test = json.loads(shown.stdout)["test"]["accuracy"]
        return best["value"], test, epochs, trials, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--luthier", default="target/release/luthier")
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=list(METHODS), action="append", help="leave out the others")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--write", help="put the table between the marks `<!-- pbt -->` and `<!-- end -->` of this file")
    args = parser.parse_args()
    luthier = str(Path(args.luthier).resolve())
    rows = ["| search | validation | test | epochs | trials |", "| --- | --- | --- | --- | --- |"]
    for name in args.only or METHODS:
        results = [run(luthier, args.data, name, seed, args.parallel) for seed in range(args.seeds)]
        print(name, results, flush=True)
        columns = list(zip(*results))

        def of(column, digits):
            error = statistics.stdev(column) / len(column) ** 0.5 if len(column) > 1 else 0.0
            return f"{statistics.mean(column):.{digits}f} ± {error:.{digits}f}"

        epochs, trials = (statistics.mean(columns[k]) for k in (2, 3))
        rows.append(f"| {name} | {of(columns[0], 4)} | {of(columns[1], 4)} | {epochs:.0f} | {trials:.0f} |")
    table = "\n".join(rows)
    print(table)
    if args.write:
        path = Path(args.write)
        text = path.read_text()
        head, rest = text.split("<!-- pbt -->", 1)
        _, tail = rest.split("<!-- end -->", 1)
        path.write_text(f"{head}<!-- pbt -->\n\n{table}\n\n<!-- end -->{tail}")


if __name__ == "__main__":
    main()
