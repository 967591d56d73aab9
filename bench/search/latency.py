"""How long a proposal takes beside Rustuna and Optuna, in one run on one machine.

    pip install optuna rustuna
    python bench/search/latency.py [--lengths 1000,10000] [--repeats 3]

Ten parameters (eight floats, half of them logarithmic, a whole number and a choice), after as many finished trials as
`--lengths` says; medians by the clock over 21 proposals, of each repeat, in turns. Luthier's come from the example `latency` of
`luthier-search`, which has the same space.
"""

import argparse
import re
import statistics
import subprocess
import time
import warnings

import numpy as np
import optuna
import rustuna

FLOATS = [(f"x{i}", i % 2 == 1) for i in range(8)]


def suggest(trial):
    params = {
        name: trial.suggest_float(name, *((1e-5, 1.0) if log else (-5.0, 5.0)), log=log) for name, log in FLOATS
    }
    params["layers"] = trial.suggest_int("layers", 1, 20)
    params["kind"] = trial.suggest_categorical("kind", ["a", "b", "c", "d"])
    return params


def loss(params):
    units = [(np.log10(params[n]) + 5) / 5 if log else (params[n] + 5) / 10 for n, log in FLOATS]
    units += [(params["layers"] - 0.5) / 20, ("abcd".index(params["kind"]) + 0.5) / 4]
    return float(sum((u - 0.4) ** 2 for u in units))


def peer(library, length):
    """Milliseconds of proposals of TPE after so many trials, of which random search chose the parameters."""
    if library is optuna:
        optuna.logging.set_verbosity(50)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    else:
        study = rustuna.create_study(sampler=rustuna.samplers.TPESampler(seed=0, n_startup_trials=length))
    for _ in range(length):
        trial = study.ask()
        study.tell(trial if library is optuna else trial.number, loss(suggest(trial)))
    if library is optuna:
        study.sampler = optuna.samplers.TPESampler(seed=0)
    times = []
    for _ in range(21):
        start = time.perf_counter()
        trial = study.ask()
        params = suggest(trial)
        times.append(1e3 * (time.perf_counter() - start))
        study.tell(trial if library is optuna else trial.number, loss(params))
    return statistics.median(times[1:])


def ours():
    """Of each sampler after each length: the median and the 95th percentile in milliseconds."""
    command = ["cargo", "run", "-q", "--release", "-p", "luthier-search", "--example", "latency", "tpe", "gp", "auto"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"(\w+)\s+(\d+) trials: median\s+([\d.]+) ms, 95th percentile\s+([\d.]+) ms", text)
    others = [line for line in text.splitlines() if "parameters" in line or "memory" in line]
    return {(name, int(n)): (float(median), float(high)) for name, n, median, high in found}, others


def main():
    warnings.filterwarnings("ignore")
    options = argparse.ArgumentParser()
    options.add_argument("--lengths", default="1000,10000")
    options.add_argument("--repeats", type=int, default=3)
    options = options.parse_args()
    lengths = [int(n) for n in options.lengths.split(",")]
    peers = {(library.__name__, n): [] for library in (rustuna, optuna) for n in lengths}
    own, others = {}, []
    for _ in range(options.repeats):
        for n in lengths:
            for library in (rustuna, optuna):
                peers[library.__name__, n].append(peer(library, n))
        found, others = ours()
        for key, times in found.items():
            own.setdefault(key, []).append(times)
    middle = {key: statistics.median(times) for key, times in peers.items()}
    for (name, n), times in sorted(own.items()):
        print(f"luthier {name:5} {n:6} trials: {statistics.median(t[0] for t in times):8.3f} ms, "
              f"95th percentile {statistics.median(t[1] for t in times):8.3f} ms")
    for (name, n), ms in sorted(middle.items()):
        ratio = ms / statistics.median(t[0] for t in own["tpe", n]) if ("tpe", n) in own else float("nan")
        print(f"{name:7} tpe   {n:6} trials: {ms:8.3f} ms, {ratio:.1f} times Luthier's TPE")
    print("\n".join(others))


if __name__ == "__main__":
    main()
