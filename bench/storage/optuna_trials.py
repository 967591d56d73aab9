"""How many trials a second Optuna finishes in a storage: 5 parameters and 10 reports each, random sampler, no pruner.

    python optuna_trials.py URL STUDY PROCESSES SECONDS

Prints one line of JSON: complete trials, seconds from the common start to the last end, trials that failed by an error of
the storage, and the longest time that any process needed for one trial.
"""

import json
import multiprocessing
import sys
import time
import warnings

import optuna


def objective(trial):
    values = [trial.suggest_float(f"x{k}", 0.0, 1.0) for k in range(5)]
    for step in range(1, 11):
        trial.report(sum(values) + 1.0 / step, step)
    return sum(values)


def work(url, name, seconds, barrier, results):
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.filterwarnings("ignore")
    study = optuna.load_study(
        study_name=name, storage=url, sampler=optuna.samplers.RandomSampler(), pruner=optuna.pruners.NopPruner()
    )
    barrier.wait()
    end = time.monotonic() + seconds
    errors, longest = 0, 0.0
    while time.monotonic() < end:
        started = time.monotonic()
        try:
            study.optimize(objective, n_trials=1)
        except Exception:  # noqa: BLE001: whatever a storage does is counted
            errors += 1
        longest = max(longest, time.monotonic() - started)
    results.put((errors, longest))


def main():
    url, name, processes, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    optuna.create_study(study_name=name, storage=url)
    barrier, results = multiprocessing.Barrier(processes + 1), multiprocessing.Queue()
    args = (url, name, seconds, barrier, results)
    workers = [multiprocessing.Process(target=work, args=args) for _ in range(processes)]
    for worker in workers:
        worker.start()
    barrier.wait()
    started = time.monotonic()
    found = [results.get() for _ in workers]
    took = time.monotonic() - started
    for worker in workers:
        worker.join()
    trials = optuna.load_study(study_name=name, storage=url).get_trials(deepcopy=False)
    complete = [t for t in trials if t.state.name == "COMPLETE" and len(t.intermediate_values) == 10]
    print(
        json.dumps(
            {
                "complete": len(complete),
                "seconds": took,
                "errors": sum(errors for errors, _ in found),
                "longest": max(longest for _, longest in found),
            }
        )
    )


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
