"""Writes the fixture that the optimizers of crates/luthier-train are compared with.

Run from the repository root: python3 scripts/train/optimizer_fixtures.py

Each case walks the tensors of a small network for 100 steps along gradients that a formula gives, so
that the fixture need not hold them, in double precision. The rules are those of torch.optim; Lion is
that of the package lion-pytorch, Prodigy that of its authors, prodigyopt. PyTorch's Muon rounds its iteration to
bfloat16; for the fixture it runs in double precision, as Luthier does not round.

Written with torch 2.15.0, numpy 2.4.6, lion-pytorch 0.2.5 and prodigyopt 1.1.2.
"""

import importlib.metadata
import json
import pathlib

import numpy as np
import torch
from lion_pytorch import Lion
from prodigyopt import Prodigy

FIXTURE = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures/optimizers.json"
STEPS = 100
RECORDED = [1, 10, 100]

# Names and shapes in PyTorch's layout: a hidden layer, a convolution, the output layer.
SHAPES = {"0.weight": [4, 3], "0.bias": [4], "1.weight": [3, 2, 2, 2], "2.weight": [2, 4], "2.bias": [2]}


def start(number, size):
    """The first weights of a tensor, in row-major order."""
    return np.float32(0.5 * np.cos(1.1 * np.arange(size) + number)).astype(np.float64)


def gradient(number, size, step):
    """The gradient at a step from 0, from about 1e-3 for the first weight to 10 for the last."""
    index = np.arange(size)
    scale = 10.0 ** (-3.0 + 4.0 * index / (size - 1))
    wave = np.sin((0.3 + 0.07 * index) * step + 1.3 * index + number) + 0.3
    return np.float32(scale * wave).astype(np.float64)


def of(kind, weights_only=False, **settings):
    """All tensors by one rule; with `weights_only`, weight decay on the weights alone."""
    def make(network):
        weights = [w for name, w in network.items() if name.endswith("weight")]
        biases = [w for name, w in network.items() if name.endswith("bias")]
        groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
        return [kind(groups if weights_only else list(network.values()), **settings)]
    return make


class Muon:
    """torch.optim.Muon for some tensors, as matrices, in double precision."""

    def __init__(self, tensors, **settings):
        # Views, so that a step changes the tensors themselves.
        self.tensors = tensors
        self.matrices = [w.detach().flatten(1).requires_grad_() for w in tensors]
        self.optimizer = torch.optim.Muon(self.matrices, **settings)
        self.param_groups = self.optimizer.param_groups

    def step(self):
        for matrix, tensor in zip(self.matrices, self.tensors):
            matrix.grad = tensor.grad.flatten(1)
        rounded, torch.bfloat16 = torch.bfloat16, torch.float64
        try:
            self.optimizer.step()
        finally:
            torch.bfloat16 = rounded


def muon(names, adamw, **settings):
    def make(network):
        chosen = [network[name] for name in names]
        others = [w for name, w in network.items() if name not in names]
        return [Muon(chosen, **settings), torch.optim.AdamW(others, **adamw)]
    return make


class Decoupled:
    """Decoupled weight decay in front of an optimizer that has none: w ← w - γ λ w."""

    def __init__(self, optimizer, decay):
        self.optimizer, self.decay = optimizer, decay
        self.param_groups = optimizer.param_groups

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                for weights in group["params"]:
                    weights.mul_(1 - group["lr"] * self.decay)
        self.optimizer.step()


def decoupled(kind, decay, **settings):
    return lambda network: [Decoupled(kind(list(network.values()), **settings), decay)]


o = torch.optim
HIDDEN = ["0.weight"]
CASES = {
    '"sgd"': of(o.SGD),
    '{ kind = "sgd", learning_rate = 0.1 }': of(o.SGD, lr=0.1),
    '{ kind = "sgd", learning_rate = 0.05, momentum = 0.9 }': of(o.SGD, lr=0.05, momentum=0.9),
    '{ kind = "sgd", learning_rate = 0.05, momentum = 0.9, dampening = 0.3 }':
        of(o.SGD, lr=0.05, momentum=0.9, dampening=0.3),
    '{ kind = "sgd", learning_rate = 0.05, momentum = 0.8, nesterov = true, weight_decay = 0.02 }':
        of(o.SGD, lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.02),
    '{ kind = "sgd", learning_rate = 0.05, momentum = 0.9, weight_decay = 0.02, decoupled = true }':
        decoupled(o.SGD, 0.02, lr=0.05, momentum=0.9),
    '{ kind = "sgd", learning_rate = 0.1, weight_decay = 0.05, weight_decay_on = "weights" }':
        of(o.SGD, weights_only=True, lr=0.1, weight_decay=0.05),
    '"rmsprop"': of(o.RMSprop),
    '{ kind = "rmsprop", learning_rate = 0.02, alpha = 0.9, epsilon = 1e-4, momentum = 0.8 }':
        of(o.RMSprop, lr=0.02, alpha=0.9, eps=1e-4, momentum=0.8),
    '{ kind = "rmsprop", centered = true, weight_decay = 0.05 }':
        of(o.RMSprop, centered=True, weight_decay=0.05),
    '{ kind = "rmsprop", centered = true, momentum = 0.9, alpha = 0.95 }':
        of(o.RMSprop, centered=True, momentum=0.9, alpha=0.95),
    '{ kind = "rmsprop", weight_decay = 0.05, decoupled = true }': decoupled(o.RMSprop, 0.05),
    '"adagrad"': of(o.Adagrad),
    '{ kind = "adagrad", learning_rate = 0.1, lr_decay = 0.01, initial_accumulator_value = 0.1, epsilon = 1e-6 }':
        of(o.Adagrad, lr=0.1, lr_decay=0.01, initial_accumulator_value=0.1, eps=1e-6),
    '{ kind = "adagrad", learning_rate = 0.1, weight_decay = 0.05 }': of(o.Adagrad, lr=0.1, weight_decay=0.05),
    '{ kind = "adagrad", learning_rate = 0.1, weight_decay = 0.05, decoupled = true }':
        decoupled(o.Adagrad, 0.05, lr=0.1),
    '"adadelta"': of(o.Adadelta),
    '{ kind = "adadelta", learning_rate = 2.0, rho = 0.95, epsilon = 1e-4, weight_decay = 0.05 }':
        of(o.Adadelta, lr=2.0, rho=0.95, eps=1e-4, weight_decay=0.05),
    '"adam"': of(o.Adam),
    '{ kind = "adam", learning_rate = 0.02, beta1 = 0.7, beta2 = 0.95, epsilon = 1e-3 }':
        of(o.Adam, lr=0.02, betas=(0.7, 0.95), eps=1e-3),
    '{ kind = "adam", learning_rate = 0.01, weight_decay = 0.05 }': of(o.Adam, lr=0.01, weight_decay=0.05),
    '{ kind = "adam", learning_rate = 0.01, beta2 = 0.9, amsgrad = true }':
        of(o.Adam, lr=0.01, betas=(0.9, 0.9), amsgrad=True),
    '{ kind = "adam", learning_rate = 0.01, weight_decay = 0.05, decoupled = true }':
        of(o.AdamW, lr=0.01, weight_decay=0.05),
    '"adamw"': of(o.AdamW),
    '{ kind = "adamw", learning_rate = 0.02, weight_decay = 0.2, amsgrad = true, weight_decay_on = "weights" }':
        of(o.AdamW, weights_only=True, lr=0.02, weight_decay=0.2, amsgrad=True),
    '"adamax"': of(o.Adamax),
    '{ kind = "adamax", learning_rate = 0.02, beta1 = 0.8, beta2 = 0.9, epsilon = 1e-3, weight_decay = 0.05 }':
        of(o.Adamax, lr=0.02, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.05),
    '"nadam"': of(o.NAdam),
    '{ kind = "nadam", learning_rate = 0.02, beta1 = 0.8, beta2 = 0.95, momentum_decay = 0.05, epsilon = 1e-4, '
    'weight_decay = 0.05 }':
        of(o.NAdam, lr=0.02, betas=(0.8, 0.95), momentum_decay=0.05, eps=1e-4, weight_decay=0.05),
    '{ kind = "nadam", weight_decay = 0.5, decoupled = true }':
        of(o.NAdam, weight_decay=0.5, decoupled_weight_decay=True),
    '"radam"': of(o.RAdam),
    '{ kind = "radam", learning_rate = 0.02, beta1 = 0.8, beta2 = 0.95, epsilon = 1e-4, weight_decay = 0.05 }':
        of(o.RAdam, lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05),
    '{ kind = "radam", weight_decay = 0.5, decoupled = true }':
        of(o.RAdam, weight_decay=0.5, decoupled_weight_decay=True),
    '"lion"': of(Lion),
    '{ kind = "lion", learning_rate = 0.01, beta1 = 0.8, beta2 = 0.95, weight_decay = 0.3 }':
        of(Lion, lr=0.01, betas=(0.8, 0.95), weight_decay=0.3),
    '"muon"': muon(HIDDEN, {"lr": 1e-3, "weight_decay": 0.1}),
    '{ kind = "muon", learning_rate = 0.02, momentum = 0.9, nesterov = false, adjust = "match_rms_adamw", '
    'weight_decay = 0.0, newton_schulz_steps = 3, output_layer = true, adamw_learning_rate = 0.01, '
    'adamw_beta1 = 0.8, adamw_beta2 = 0.95, adamw_epsilon = 1e-4 }':
        muon(["0.weight", "2.weight"], {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.0},
             lr=0.02, momentum=0.9, nesterov=False, adjust_lr_fn="match_rms_adamw", weight_decay=0.0, ns_steps=3),
    '{ kind = "muon", learning_rate = 0.02, adjust = "spectral_unclamped", filters = true, weight_decay = 0.5, '
    'output_layer = true }':
        muon(["0.weight", "1.weight", "2.weight"], {"lr": 1e-3, "weight_decay": 0.5},
             lr=0.02, adjust_lr_fn="spectral_unclamped", weight_decay=0.5),
    '"prodigy"': of(Prodigy),
    '{ kind = "prodigy", beta1 = 0.8, beta2 = 0.95, beta3 = 0.9, epsilon = 1e-6, weight_decay = 0.05, '
    'bias_correction = true, d0 = 1e-4, d_coef = 0.5 }':
        of(Prodigy, betas=(0.8, 0.95), beta3=0.9, eps=1e-6, weight_decay=0.05, use_bias_correction=True, d0=1e-4,
           d_coef=0.5),
    '{ kind = "prodigy", learning_rate = 0.5, beta1 = 0.0, weight_decay = 0.01, decoupled = false, '
    'safeguard_warmup = true, growth_rate = 1.05, d0 = 1e-4 }':
        of(Prodigy, lr=0.5, betas=(0.0, 0.999), weight_decay=0.01, decouple=False, safeguard_warmup=True,
           growth_rate=1.05, d0=1e-4),
}

# Rate and weight decay change with each step.
SCHEDULED = [
    '{ kind = "sgd", learning_rate = 0.05, momentum = 0.9, weight_decay = 0.02 }',
    '{ kind = "adamw", learning_rate = 0.02, weight_decay = 0.2 }',
    '{ kind = "muon", learning_rate = 0.02, weight_decay = 0.2 }',
    '{ kind = "prodigy", weight_decay = 0.05 }',
]
MAKE_SCHEDULED = [
    of(o.SGD, lr=0.05, momentum=0.9, weight_decay=0.02),
    of(o.AdamW, lr=0.02, weight_decay=0.2),
    muon(HIDDEN, {"lr": 1e-3, "weight_decay": 0.2}, lr=0.02, weight_decay=0.2),
    of(Prodigy, weight_decay=0.05),
]


def rate_factor(step):
    return 1 - step / 200


def decay_factor(step):
    return 1 + step / 50


def run(make, scheduled):
    network = {
        name: torch.tensor(start(number, int(np.prod(shape))).reshape(shape), requires_grad=True)
        for number, (name, shape) in enumerate(SHAPES.items())
    }
    optimizers = make(network)
    first = [[(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] for optimizer in optimizers]
    recorded = []
    for step in range(STEPS):
        for number, (name, shape) in enumerate(SHAPES.items()):
            network[name].grad = torch.tensor(gradient(number, int(np.prod(shape)), step).reshape(shape))
        for optimizer, firsts in zip(optimizers, first):
            for group, (rate, decay) in zip(optimizer.param_groups, firsts):
                if scheduled:
                    group["lr"], group["weight_decay"] = rate * rate_factor(step), decay * decay_factor(step)
            optimizer.step()
        if step + 1 in RECORDED:
            recorded.append([
                [float(f"{x:.8g}") for x in weights.detach().flatten().tolist()] for weights in network.values()
            ])
    return recorded


def main():
    cases = [{"config": config, "scheduled": False, "weights": run(make, False)} for config, make in CASES.items()]
    cases += [{"config": config, "scheduled": True, "weights": run(make, True)}
              for config, make in zip(SCHEDULED, MAKE_SCHEDULED)]
    versions = {name: importlib.metadata.version(name) for name in ["torch", "numpy", "lion-pytorch", "prodigyopt"]}
    shapes = [{"name": name, "shape": shape} for name, shape in SHAPES.items()]
    content = {"versions": versions, "shapes": shapes, "recorded": RECORDED, "cases": cases}
    FIXTURE.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(FIXTURE.name, FIXTURE.stat().st_size)


if __name__ == "__main__":
    main()
