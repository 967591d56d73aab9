"""Pruning where there are two objectives, accuracy and size, at equal epochs, on a part of MNIST.

    python bench/search/fronts.py --luthier target/release/luthier --data FOLDER [--seeds 5]

FOLDER holds MNIST's four files in `mnist`. Width, learning rate and dropout of a small network are searched by the default
sampler, with no pruner, `median` and `asha`; each study gets trials until they have taken the epochs of `WHOLE` whole
trainings. Printed are means over seeds, with the standard errors, of the area of the front of complete trials: error up to
0.3 beside the decimal logarithm of the number of weights, as a share of the box from no error and the smallest network.
Python's standard library is enough.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from pbt import EPOCHS, MEMBERS, until_spent

WHOLE = 40

FILE = """[study]
name = "bench"
objective = ["val_accuracy", "weights"]

[data]
source = "mnist"
split = {{ validation = 0.04, test = 0.9, stratify = true, seed = {seed} }}

[model]
layers = [
  {{ dense = {{ int = [4, 512], log = true }}, activation = "relu" }},
  {{ dropout = {{ float = [0.0, 0.8] }} }},
]

[train]
epochs = {epochs}
batch_size = 32
optimizer = {{ kind = "adam", learning_rate = {{ float = [1e-5, 1e-1], log = true }} }}

[search]
seed = {seed}
slots = 4
pruner = "{pruner}"
"""

WORST_ERROR = 0.3
SIZES = [math.log10(784 * width + width + 10 * width + 10) for width in (4, 512)]


def area(front):
    """The share of the box that the points (error, logarithm of the weights) dominate."""
    edge, total = WORST_ERROR, 0.0
    for size, error in sorted((size, error) for error, size in front):
        if error < edge:
            total += (edge - error) * (SIZES[1] - size)
            edge = error
    return total / (WORST_ERROR * (SIZES[1] - SIZES[0]))


def run(luthier, data, pruner, seed):
    """One study: (area, complete trials on the front, epochs, trials)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "study.toml").write_text(FILE.format(seed=seed, epochs=EPOCHS, pruner=pruner))
        environment = {**os.environ, "LUTHIER_DATA": str(Path(data).resolve())}

        def tune(*more):
            command = [luthier, "tune", "study.toml", "--json", *more]
            subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)

        _, epochs, trials = until_spent(tune, luthier, folder, WHOLE * EPOCHS, MEMBERS)
        shown = subprocess.run([luthier, "best", "study.toml", "--json"], cwd=folder, check=True, capture_output=True)
        values = [trial["values"] for trial in json.loads(shown.stdout)["trials"]]
        front = [(1.0 - value["val_accuracy"], math.log10(value["weights"])) for value in values]
        return area(front), len(front), epochs, trials


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--luthier", default="target/release/luthier")
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    luthier = str(Path(args.luthier).resolve())
    rows = ["| pruner | area of the front | trials on it | epochs | trials |", "| --- | --- | --- | --- | --- |"]
    for pruner in ("none", "median", "asha"):
        results = [run(luthier, args.data, pruner, seed) for seed in range(args.seeds)]
        areas, fronts, epochs, trials = zip(*results)
        error = statistics.stdev(areas) / len(areas) ** 0.5 if len(areas) > 1 else 0.0
        means = [statistics.mean(column) for column in (fronts, epochs, trials)]
        rows.append(
            f"| {pruner} | {statistics.mean(areas):.3f} ± {error:.3f} | {means[0]:.0f} | {means[1]:.0f} | {means[2]:.0f} |"
        )
        print(pruner, results, flush=True)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
