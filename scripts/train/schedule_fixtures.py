"""Values of PyTorch's learning-rate schedulers, for the parity test of schedules.

    python scripts/train/schedule_fixtures.py

Needs PyTorch 2.x. Writes crates/luthier-train/tests/fixtures/schedules.json: for each schedule, as it is written
in a study file, the learning rate of every seventh of 1,000 steps, from a learning rate of 0.5.
"""

import json
import math
from pathlib import Path

import torch
from torch.optim import lr_scheduler as torch_schedulers

FIXTURES = Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures"

EPOCHS, STEPS, RATE, EVERY = 20, 50, 0.5, 7
TOTAL = EPOCHS * STEPS


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)


def rates(scheduler, steps=TOTAL, metric=None):
    """The rate before each step of the scheduler."""
    optimizer = scheduler.optimizer
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if metric is None else [metric[step]]))
    return found


def by_epoch(scheduler, metric=None):
    return [rate for rate in rates(scheduler, EPOCHS, metric) for _ in range(STEPS)]


def by_step(scheduler):
    return rates(scheduler)


def with_warmup(make, warmup):
    """A linear rise over so many steps, then the scheduler that `make` gives."""
    optimizer = sgd()
    rise = torch_schedulers.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
    return torch_schedulers.SequentialLR(optimizer, [rise, make(optimizer)], [warmup])


def restarts(period, growth, end):
    scheduler = torch_schedulers.CosineAnnealingWarmRestarts(sgd(), period, growth, end * RATE)
    found = []
    for step in range(TOTAL):
        scheduler.step(step / STEPS)
        found.append(scheduler.get_last_lr()[0])
    return found


def joined():
    """One epoch constant at a tenth, then five of decay, then a line to zero; every step."""
    optimizer = sgd()
    parts = [
        torch_schedulers.ConstantLR(optimizer, 0.1, TOTAL),
        torch_schedulers.ExponentialLR(optimizer, 0.9 ** (1 / STEPS)),
        torch_schedulers.LinearLR(optimizer, 1.0, 0.0, 14 * STEPS),
    ]
    return by_step(torch_schedulers.SequentialLR(optimizer, parts, [STEPS, 6 * STEPS]))


def chained():
    optimizer = sgd()
    parts = [torch_schedulers.StepLR(optimizer, 6), torch_schedulers.ExponentialLR(optimizer, 0.9)]
    return by_epoch(torch_schedulers.ChainedScheduler(parts))


def cases():
    t = torch_schedulers
    one_cycle = lambda **options: by_step(t.OneCycleLR(sgd(), RATE, total_steps=TOTAL, **options))
    formula = lambda function: by_step(t.LambdaLR(sgd(), function))
    return {
        '{ kind = "exponential", factor = 0.83 }': by_epoch(t.ExponentialLR(sgd(), 0.83)),
        '{ kind = "exponential", factor = 0.83, by = "step" }': by_step(t.ExponentialLR(sgd(), 0.83 ** (1 / STEPS))),
        '{ kind = "step", every = 6, factor = 0.3 }': by_epoch(t.StepLR(sgd(), 6, 0.3)),
        '{ kind = "multi_step", milestones = [3, 8, 15], factor = 0.2 }':
            by_epoch(t.MultiStepLR(sgd(), [3, 8, 15], 0.2)),
        '"polynomial"': by_step(t.PolynomialLR(sgd(), TOTAL)),
        '{ kind = "polynomial", power = 0.9, by = "epoch" }': by_epoch(t.PolynomialLR(sgd(), EPOCHS, 0.9)),
        '{ kind = "polynomial", power = 2.5, horizon = 12 }': by_step(t.PolynomialLR(sgd(), 12 * STEPS, 2.5)),
        '{ kind = "linear", start = 0.2, end = 0.9, epochs = 8 }': by_step(t.LinearLR(sgd(), 0.2, 0.9, 8 * STEPS)),
        '{ kind = "cosine", end = 0.05 }': by_step(t.CosineAnnealingLR(sgd(), TOTAL, 0.05 * RATE)),
        '{ kind = "cosine", by = "epoch" }': by_epoch(t.CosineAnnealingLR(sgd(), EPOCHS)),
        '{ kind = "cosine", warmup = 0.1 }':
            by_step(with_warmup(lambda o: t.CosineAnnealingLR(o, TOTAL - 100), 100)),
        '{ kind = "cosine", warmup_epochs = 3 }':
            by_step(with_warmup(lambda o: t.CosineAnnealingLR(o, TOTAL - 150), 150)),
        '{ kind = "cosine_restarts", period = 6 }': restarts(6, 1, 0.0),
        '{ kind = "cosine_restarts", period = 2, growth = 2, end = 0.1 }': restarts(2, 2, 0.1),
        '"one_cycle"': one_cycle(),
        '{ kind = "one_cycle", rise = 0.4, start_divisor = 10, end_divisor = 100, anneal = "linear" }':
            one_cycle(pct_start=0.4, div_factor=10, final_div_factor=100, anneal_strategy="linear"),
        '{ kind = "one_cycle", rise = 0.35, three_phases = true }': one_cycle(pct_start=0.35, three_phase=True),
        '{ kind = "one_cycle", rise = 0.35, three_phases = true, anneal = "linear" }':
            one_cycle(pct_start=0.35, three_phase=True, anneal_strategy="linear"),
        '{ kind = "one_cycle", by = "epoch" }': by_epoch(t.OneCycleLR(sgd(), RATE, total_steps=EPOCHS)),
        '{ kind = "constant", warmup = 0.2 }': by_step(t.LinearLR(sgd(), 1 / 200, 1.0, 199)),
        '{ kind = "inverse_sqrt", warmup = 0.08 }':
            formula(lambda s: min((s + 1) / 80, math.sqrt(80 / (s + 1)))),
        '{ kind = "join", parts = [{ until = 1, schedule = { kind = "constant", scale = 0.1 } }, { until = 6, '
        'schedule = { kind = "exponential", factor = 0.9, by = "step" } }, { schedule = "linear" }] }': joined(),
        '{ kind = "product", of = [{ kind = "step", every = 6 }, { kind = "exponential", factor = 0.9 }] }':
            chained(),
        '"base * 0.95^epoch"': formula(lambda s: 0.95 ** (s // STEPS)),
        '"base * (0.1 + 0.9 * exp(-step / 250) * (1 + 0.5 * sin(2 * pi * progress)))"':
            formula(lambda s: 0.1 + 0.9 * math.exp(-s / 250) * (1 + 0.5 * math.sin(2 * math.pi * s / TOTAL))),
        '{ kind = "formula", formula = "base * max(1 - progress, 0.2)^2", by = "epoch" }':
            by_epoch(t.LambdaLR(sgd(), lambda e: max(1 - e / EPOCHS, 0.2) ** 2)),
    }


def plateaus():
    """A metric for each of 1,000 reports, and the rates that it leads to. PyTorch leaves rates near its `eps` of 1e-8
    as they are; here there is no such limit."""
    metric = [round(1 + math.exp(-i / 60) + 0.05 * math.sin(i * 1.7) + 0.04 * math.sin(i * 0.31), 4) for i in range(TOTAL)]
    t = torch_schedulers.ReduceLROnPlateau
    made = {
        "{}": {},
        "{ factor = 0.8, patience = 3, threshold = 0.01, cooldown = 5 }":
            {"factor": 0.8, "patience": 3, "threshold": 0.01, "cooldown": 5},
        '{ factor = 0.9, patience = 5, threshold = 0.002, threshold_mode = "abs", min = 0.01 }':
            {"factor": 0.9, "patience": 5, "threshold": 0.002, "threshold_mode": "abs", "min_lr": 0.01},
        '{ factor = 0.7, patience = 20, monitor = "val_accuracy" }': {"factor": 0.7, "patience": 20, "mode": "max"},
        '{ factor = 0.95, patience = 0, threshold = 0.0, cooldown = 1, threshold_mode = "abs", monitor = "val_accuracy" }':
            {"factor": 0.95, "patience": 0, "threshold": 0.0, "cooldown": 1, "threshold_mode": "abs", "mode": "max"},
    }
    return {
        "metric": metric,
        "cases": [
            {"config": config, "rates": compact(rates(t(sgd(), eps=0.0, **options), TOTAL, metric))}
            for config, options in made.items()
        ],
    }


def compact(rates):
    assert len(rates) == TOTAL
    return [float(f"{rate:.12g}") for rate in rates[::EVERY]]


def main():
    content = {
        "versions": {"torch": torch.__version__},
        "epochs": EPOCHS,
        "steps_per_epoch": STEPS,
        "rate": RATE,
        "every": EVERY,
        "cases": [{"config": config, "rates": compact(rates)} for config, rates in cases().items()],
        "plateaus": plateaus(),
    }
    path = FIXTURES / "schedules.json"
    path.write_text(json.dumps(content) + "\n")
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
