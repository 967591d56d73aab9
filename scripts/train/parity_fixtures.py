"""Writes what PyTorch and scikit-learn compute, for the parity tests of crates/luthier-train.

    python scripts/train/parity_fixtures.py     (needs torch, numpy and scikit-learn)

Networks with their outputs and gradients, losses, learning-rate
schedules and metrics. Networks are built from the very expressions that `model::summarize` gives, so a
wrong expression fails here or in the Rust test that compares the strings. Inputs are single precision;
outputs are computed from them in double precision. Written with torch 2.15.0, numpy 2.4.6 and
scikit-learn 1.9.1; each fixture names its versions.
"""

import json
import math
import pathlib

import numpy as np
import sklearn
import torch
from sklearn import metrics
from torch import nn
from torch.nn import functional as F

FIXTURES = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures"


def singles(tensor):
    """Nested lists of single-precision numbers; nine digits tell them apart."""
    values = np.asarray(tensor, dtype=np.float32).tolist()
    return short(values, 9)


def doubles(tensor):
    return short(np.asarray(tensor, dtype=np.float64).tolist(), 12)


def short(value, digits):
    return [short(item, digits) for item in value] if isinstance(value, list) else float(f"{value:.{digits}g}")


# Networks

NETWORKS = [
    {
        "name": "convolution without padding, pooling, two dense layers",
        "layers": '{ conv = 4, kernel = 3, activation = "relu" }, { max_pool = 2 }, { dense = 7, activation = "tanh" }',
        "input": [2, 8, 7],
        "outputs": 3,
        "loss": "cross_entropy",
        "torch": [
            "nn.Conv2d(2, 4, 3, stride=1, padding=0)", "nn.ReLU()", "nn.MaxPool2d(2, stride=2)", "nn.Flatten()",
            "nn.Linear(24, 7)", "nn.Tanh()", "nn.Linear(7, 3)",
        ],
    },
    {
        "name": "padding by a number, stride 2, padding same, pooling with a stride, dropout",
        "layers": '{ conv = 3, kernel = 5, stride = 2, padding = 2, activation = "gelu" }, '
                  '{ conv = 5, kernel = 3, padding = "same", activation = "leaky_relu" }, '
                  '{ max_pool = 3, stride = 1 }, { dropout = 0.25 }, { dense = 6, activation = "silu" }',
        "input": [1, 11, 9],
        "outputs": 1,
        "loss": "binary_cross_entropy",
        "torch": [
            "nn.Conv2d(1, 3, 5, stride=2, padding=2)", "nn.GELU()", 'nn.Conv2d(3, 5, 3, stride=1, padding="same")',
            "nn.LeakyReLU(0.01)", "nn.MaxPool2d(3, stride=1)", "nn.Dropout(0.25)", "nn.Flatten()",
            "nn.Linear(60, 6)", "nn.SiLU()", "nn.Linear(6, 1)",
        ],
    },
    {
        "name": "filters of even size with padding same, an activation on its own, images straight to the output",
        "layers": '{ conv = 2, kernel = 4, padding = "same" }, { activation = "elu" }, '
                  '{ conv = 2, kernel = 2, padding = "same", activation = "sigmoid" }',
        "input": [3, 5, 6],
        "outputs": 4,
        "loss": "cross_entropy",
        "torch": [
            'nn.Conv2d(3, 2, 4, stride=1, padding="same")', "nn.ELU()",
            'nn.Conv2d(2, 2, 2, stride=1, padding="same")', "nn.Sigmoid()", "nn.Flatten()", "nn.Linear(60, 4)",
        ],
    },
    {
        "name": "every activation",
        "layers": ", ".join(
            f'{{ dense = 5, activation = "{activation}" }}'
            for activation in ["none", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]
        ),
        "input": [6],
        "outputs": 1,
        "loss": "mse",
        "torch": [
            "nn.Linear(6, 5)", "nn.Linear(5, 5)", "nn.ReLU()", "nn.Linear(5, 5)", "nn.LeakyReLU(0.01)",
            "nn.Linear(5, 5)", "nn.ELU()", "nn.Linear(5, 5)", "nn.GELU()", "nn.Linear(5, 5)", "nn.SiLU()",
            "nn.Linear(5, 5)", "nn.Sigmoid()", "nn.Linear(5, 5)", "nn.Tanh()", "nn.Linear(5, 1)",
        ],
    },
    {
        "name": "no hidden layer, images",
        "layers": "",
        "input": [1, 3, 2],
        "outputs": 2,
        "loss": "cross_entropy",
        "torch": ["nn.Flatten()", "nn.Linear(6, 2)"],
    },
]

LOSSES = {
    "cross_entropy": lambda outputs, targets, **how: F.cross_entropy(outputs, targets.long(), **how),
    "binary_cross_entropy": lambda outputs, targets, **how:
        F.binary_cross_entropy_with_logits(outputs[:, 0], targets.double(), **how),
    "mse": lambda outputs, targets, **how: F.mse_loss(outputs[:, 0], targets.double(), **how),
}


def networks():
    torch.manual_seed(1)
    cases = []
    for case in NETWORKS:
        network = eval(f"nn.Sequential({', '.join(case['torch'])})", {"nn": nn})  # noqa: S307, our own text
        if len(case["torch"]) > 10:
            # A deep chain of sigmoids makes the first gradients vanish; larger weights keep them alive.
            for weights in network.parameters():
                weights.data *= 2
        batch = 4
        inputs = torch.randn(batch, *case["input"])
        kinds = {"cross_entropy": max(case["outputs"], 2), "binary_cross_entropy": 2}
        if case["loss"] == "mse":
            targets = torch.randn(batch)
        else:
            targets = torch.arange(batch) % kinds[case["loss"]]
        weights = {name: {"shape": list(w.shape), "values": singles(w.flatten())}
                   for name, w in network.state_dict().items()}
        network = network.double().eval()
        outputs = network(inputs.double())
        loss = LOSSES[case["loss"]](outputs, targets)
        loss.backward()
        cases.append(case | {
            "weights": weights,
            "batch": singles(inputs.flatten()),
            "targets": singles(targets.float()),
            "logits": doubles(outputs.detach().flatten()),
            "value": float(loss.detach()),
            "gradients": {name: doubles(w.grad.flatten()) for name, w in network.named_parameters()},
        })
    return cases


# Losses of single examples

def losses():
    random = np.random.RandomState(2)
    extreme = [[80, -80, 0], [-80, 80, 80], [80, 80, 80], [-80, -80, -80], [1000, -1000, 0], [0, 0, 0]]
    rows = np.float32(np.concatenate([random.normal(0, 3, (14, 3)), extreme, extreme, extreme]))
    classes = np.concatenate([random.randint(0, 3, 14), [0] * 6, [1] * 6, [2] * 6])
    single = np.float32(np.concatenate([random.normal(0, 3, 10), [80, -80, 0, 1000, -1000] * 2]))[:, None]
    second = np.concatenate([random.randint(0, 2, 10), [0] * 5, [1] * 5])
    numbers = np.float32(random.normal(0, 2, 20))
    cases = []
    for loss, outputs, targets in [
        ("cross_entropy", rows, classes), ("binary_cross_entropy", single, second), ("mse", single, numbers)
    ]:
        variable = torch.tensor(outputs, dtype=torch.float64, requires_grad=True)
        each = LOSSES[loss](variable, torch.tensor(targets), reduction="none")
        each.mean().backward()
        cases.append({
            "loss": loss,
            "outputs": singles(outputs.flatten()),
            "targets": singles(targets),
            "each": doubles(each.detach()),
            "gradient": doubles(variable.grad.flatten()),
        })
    return cases


# Schedules

EPOCHS, STEPS = 20, 50


def per_epoch(scheduler):
    """The factor of each step where the scheduler goes on once an epoch."""
    factors = []
    for _ in range(EPOCHS):
        factors += [scheduler.get_last_lr()[0]] * STEPS
        scheduler.optimizer.step()
        scheduler.step()
    return factors


def cosine(end, warmup):
    total = EPOCHS * STEPS
    ramp = [(step + 1) / warmup for step in range(warmup)]
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(sgd(), total - warmup, eta_min=end)
    for _ in range(total - warmup):
        ramp.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return ramp


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def ramped(factors, warmup):
    return [(step + 1) / warmup if step < warmup else factor for step, factor in enumerate(factors)]


def schedules():
    schedule = torch.optim.lr_scheduler
    cases = {
        '"constant"': [1.0] * (EPOCHS * STEPS),
        '{ kind = "constant", warmup = 0.15 }': ramped([1.0] * (EPOCHS * STEPS), 150),
        '{ kind = "step", every = 6 }': per_epoch(schedule.StepLR(sgd(), 6)),
        '{ kind = "step", every = 3, factor = 0.5, warmup = 0.1 }':
            ramped(per_epoch(schedule.StepLR(sgd(), 3, gamma=0.5)), 100),
        '{ kind = "exponential", factor = 0.83 }': per_epoch(schedule.ExponentialLR(sgd(), 0.83)),
        '{ kind = "exponential", factor = 0.9, warmup = 0.04 }':
            ramped(per_epoch(schedule.ExponentialLR(sgd(), 0.9)), 40),
        '"cosine"': cosine(0.0, 0),
        '{ kind = "cosine", end = 0.05, warmup = 0.1 }': cosine(0.05, 100),
    }
    # Every third step; the last, 999, is among them.
    return {
        "epochs": EPOCHS,
        "steps_per_epoch": STEPS,
        "cases": [{"config": config, "factors": doubles(factors[::3])} for config, factors in cases.items()],
    }


# Metrics

def measures():
    random = np.random.RandomState(3)
    outputs = np.float32(random.normal(0, 2, (60, 4)))
    labels = random.randint(0, 4, 60)
    exact = outputs.astype(np.float64)
    shares = np.exp(exact - exact.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    single = np.float32(random.normal(0, 2, 50))
    second = random.randint(0, 2, 50)
    positive = 1 / (1 + np.exp(-single.astype(np.float64)))
    cases = [
        {
            "loss": "cross_entropy", "outputs": singles(outputs.flatten()), "targets": singles(labels),
            "metrics": {
                "accuracy": metrics.accuracy_score(labels, shares.argmax(1)),
                "loss": metrics.log_loss(labels, shares, labels=range(4)),
            },
        },
        {
            "loss": "binary_cross_entropy", "outputs": singles(single), "targets": singles(second),
            "metrics": {
                "accuracy": metrics.accuracy_score(second, positive > 0.5),
                "loss": metrics.log_loss(second, positive),
            },
        },
    ]
    mean, std = 250.5, 31.25
    targets = np.float32(random.normal(0, 1, 40))
    predicted = np.float32(targets + random.normal(0, 0.4, 40))
    constant = np.full(9, np.float32(0.1))
    for outputs, targets in [(predicted, targets), (predicted[:9], constant), (constant, constant)]:
        y, p = (v.astype(np.float64) * std + mean for v in (targets, outputs))
        cases.append({
            "loss": "mse", "outputs": singles(outputs), "targets": singles(targets), "mean": mean, "std": std,
            "metrics": {
                "loss": metrics.mean_squared_error(targets.astype(np.float64), outputs.astype(np.float64)),
                "rmse": metrics.root_mean_squared_error(y, p),
                "mae": metrics.mean_absolute_error(y, p),
                "r2": metrics.r2_score(targets.astype(np.float64), outputs.astype(np.float64)),
            },
        })
    for case in cases:
        assert all(math.isfinite(value) for value in case["metrics"].values())
    return cases


def main():
    versions = {"torch": torch.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__}
    for name, content in {
        "networks": {"cases": networks()},
        "losses": {"cases": losses()},
        "schedules": schedules(),
        "metrics": {"cases": measures()},
    }.items():
        path = FIXTURES / f"parity_{name}.json"
        path.write_text(json.dumps({"versions": versions} | content) + "\n")
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
