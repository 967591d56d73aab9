"""Several objectives: hypervolume after some trials, of Luthier's samplers and of Optuna's, on the same problems.

    cargo build --release -p luthier-search --example hypervolume
    python -m venv VENV && VENV/bin/pip install optuna==5.0.0 numpy==2.4.6
    VENV/bin/python bench/search/hypervolume.py [--trials 200] [--seeds 10] [--only luthier|optuna] [SAMPLER...]

Problems: ZDT1 to 3 with 30 parameters, DTLZ2 with 2 and 3 objectives and 10 parameters of distance. The hypervolume is the
share of that of the true front, by the reference point 11 (ZDT) and 3.5 (DTLZ2) in each objective, which all points
are below; and, after the slash, by 1.1, where only points near the front count. Means over seeds with their
standard errors.
"""

import argparse
import collections
import json
import math
import pathlib
import subprocess
import sys
import time

import numpy as np
import optuna
from optuna._hypervolume import compute_hypervolume

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = ROOT / "target/release/examples/hypervolume"
PROBLEMS = {"zdt1": (30, 2), "zdt2": (30, 2), "zdt3": (30, 2), "dtlz2-2": (11, 2), "dtlz2-3": (12, 3)}


def losses(problem, x):
    if problem.startswith("dtlz2"):
        m = PROBLEMS[problem][1]
        g = sum((v - 0.5) ** 2 for v in x[m - 1 :])
        angles = [v * math.pi / 2 for v in x[: m - 1]]
        found = []
        for k in range(m):
            loss = 1 + g
            for angle in angles[: m - 1 - k]:
                loss *= math.cos(angle)
            found.append(loss * (math.sin(angles[m - 1 - k]) if k else 1))
        return found
    f = x[0]
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    h = {
        "zdt1": 1 - math.sqrt(f / g),
        "zdt2": 1 - (f / g) ** 2,
        "zdt3": 1 - math.sqrt(f / g) - f / g * math.sin(10 * math.pi * f),
    }[problem]
    return [f, g * h]


def front(problem):
    """Points of the true front, close together."""
    if problem == "dtlz2-3":
        angles = np.linspace(0, math.pi / 2, 60)
        points = [[math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)] for a in angles for b in angles]
        return np.array(points)
    if problem == "dtlz2-2":
        angles = np.linspace(0, math.pi / 2, 4000)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    dimension = PROBLEMS[problem][0]
    return np.array([losses(problem, [f] + [0] * (dimension - 1)) for f in np.linspace(0, 1, 20000)])


def hypervolume(points, reference):
    points = np.asarray(points)
    points = points[(points < reference).all(axis=1)]
    return compute_hypervolume(points, reference) if len(points) else 0.0


def references(problem):
    m = PROBLEMS[problem][1]
    far = 3.5 if problem.startswith("dtlz2") else 11.0
    return np.full(m, far), np.full(m, 1.1)


def of_optuna(name, problem, seed, trials):
    sampler = {"optuna tpe": optuna.samplers.TPESampler, "optuna nsga2": optuna.samplers.NSGAIISampler}[name](seed=seed)
    dimension, m = PROBLEMS[problem]
    study = optuna.create_study(directions=["minimize"] * m, sampler=sampler)
    began = time.perf_counter()
    study.optimize(lambda t: losses(problem, [t.suggest_float(f"x{i}", 0, 1) for i in range(dimension)]), n_trials=trials)
    ms = 1e3 * (time.perf_counter() - began) / trials
    return {"sampler": name, "problem": problem, "seed": seed, "ms": ms, "points": [t.values for t in study.trials]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=["luthier", "optuna"])
    parser.add_argument("--keep", help="add the runs to this file of lines of JSON, and show all that are in it")
    parser.add_argument("samplers", nargs="*")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    runs = []
    if args.only != "optuna":
        command = [PROGRAM, str(args.trials), str(args.seeds), *args.samplers]
        printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        runs += [json.loads(line) | {"sampler": "luthier " + json.loads(line)["sampler"]} for line in printed.splitlines()]
    if args.only != "luthier":
        for name in ["optuna tpe", "optuna nsga2"]:
            for problem in PROBLEMS:
                runs += [of_optuna(name, problem, seed, args.trials) for seed in range(args.seeds)]
    if args.keep:
        path = pathlib.Path(args.keep)
        with path.open("a") as file:
            file.writelines(json.dumps(run) + "\n" for run in runs)
        runs = [json.loads(line) for line in path.read_text().splitlines()]

    found = collections.defaultdict(list)
    times = collections.defaultdict(list)
    best = {}
    for problem in PROBLEMS:
        points = front(problem)
        best[problem] = [hypervolume(points, reference) for reference in references(problem)]
    for run in runs:
        shares = [
            hypervolume(run["points"], reference) / most
            for reference, most in zip(references(run["problem"]), best[run["problem"]])
        ]
        found[run["sampler"], run["problem"]].append(shares)
        times[run["sampler"]].append(run["ms"])
    print("| sampler | " + " | ".join(PROBLEMS) + " | ms a trial |")
    print("| --- |" + " --- |" * (len(PROBLEMS) + 1))
    for sampler in dict.fromkeys(run["sampler"] for run in runs):
        cells = []
        for problem in PROBLEMS:
            shares = np.array(found[sampler, problem])
            mean, error = shares.mean(axis=0), shares.std(axis=0, ddof=1) / math.sqrt(len(shares))
            cells.append(" / ".join(f"{m:.3f} ±{e:.3f}" for m, e in zip(mean, error)))
        print(f"| {sampler} | " + " | ".join(cells) + f" | {np.mean(times[sampler]):.1f} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
