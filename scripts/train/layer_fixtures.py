"""Writes what PyTorch computes for each kind of layer, for the parity tests of crates/luthier-train.

    python scripts/train/layer_fixtures.py     (needs torch and numpy)

A case is a list of layers as in a study file, and the same of PyTorch's modules, whose names are those of
the stages. Weights and inputs have three decimals and are exact in single precision to all that read them;
outputs and gradients are computed from them in double precision. The loss is the sum of the outputs times
fixed numbers. Texts are tokens with zeros behind; PyTorch gets them as packed sequences or with a
padding mask. Written with torch 2.15.0 and numpy 2.4.6; the fixture names its versions.
"""

import json
import math
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

FIXTURE = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures/layers.json"

TEXTS = [[2, 5, 3, 4, 6], [7, 3, 0, 0, 0], [4, 4, 2, 0, 0]]
LENGTHS = torch.tensor([5, 2, 3])
VOCABULARY = 8


def numbers(tensor, digits=8):
    return [float(f"{value:.{digits}g}") for value in np.asarray(tensor.detach(), dtype=np.float64).flatten()]


def rounded(tensor):
    return (tensor.double() * 1000).round() / 1000


class Net(nn.Module):
    """Modules named as our stages, and how they follow each other."""

    def __init__(self, modules, forward):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.run = forward

    def forward(self, x):
        return self.run(self._modules, x)


def chain(*modules):
    return nn.Sequential(*modules)


def transposed(module):
    """A module of PyTorch's [batch, features, length] for our [batch, length, features]."""
    return lambda x: module(x.transpose(1, 2)).transpose(1, 2)


def recurrent(kind, output, layers=1, bidirectional=False, packed=True):
    """An embedding and a recurrent layer over packed texts."""
    size, units = 3, 4
    cell = getattr(nn, kind)(size, units, layers, batch_first=True, bidirectional=bidirectional)
    width = units * (2 if bidirectional else 1)
    modules = {"0": nn.Embedding(VOCABULARY, size, padding_idx=0), "1": cell}
    modules["2" if output == "last" else "3"] = nn.Linear(width, 3)

    def forward(m, x):
        steps = pack_padded_sequence(m["0"](x), LENGTHS, batch_first=True, enforce_sorted=False)
        states, last = m["1"](steps)
        if output == "last":
            last = last[0] if kind == "LSTM" else last
            ends = [last[-2], last[-1]] if bidirectional else [last[-1]]
            return m["2"](torch.cat(ends, 1))
        states, _ = pad_packed_sequence(states, batch_first=True)
        return m["3"](states.sum(1) / LENGTHS[:, None])

    key = kind.lower()
    text = f"{{ embedding = 3 }}, {{ {key} = 4, output = \"{output}\""
    text += f", layers = {layers}" if layers > 1 else ""
    text += ", bidirectional = true" if bidirectional else ""
    text += " }"
    if output == "sequence":
        text += ', { global_pool = "avg" }'
    return {"name": f"{key} {output} {layers} {bidirectional}", "layers": text, "net": Net(modules, forward)}


def plain_recurrent(kind):
    """A recurrent layer over the rows of an image, without padding."""
    cell = getattr(nn, kind)(6, 4, 1, batch_first=True)

    def forward(m, x):
        states, _ = m["1"](x.transpose(1, 2).flatten(2))
        return m["2"](states[:, -1])

    net = Net({"1": cell, "2": nn.Linear(4, 3)}, forward)
    return {"name": f"{kind} of rows", "layers": f"{{ rows = true }}, {{ {kind.lower()} = 4 }}", "net": net,
            "input": [2, 5, 3]}


def attention(norm_first, activation, hidden):
    block = nn.TransformerEncoderLayer(
        4, 2, hidden, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first)

    def forward(m, x):
        real = x != 0
        steps = m["1"](m["0"](x), src_key_padding_mask=~real)
        return m["3"]((steps * real[:, :, None]).sum(1) / real.sum(1, keepdim=True))

    net = Net({"0": nn.Embedding(VOCABULARY, 4, padding_idx=0), "1": block, "3": nn.Linear(4, 3)}, forward)
    how = str(norm_first).lower()
    layers = (f'{{ embedding = 4 }}, {{ attention = 2, feed_forward = {hidden}, activation = "{activation}", '
              f'norm_first = {how}, dropout = 0 }}, {{ global_pool = "avg" }}')
    return {"name": f"attention, norm first: {how}", "layers": layers, "net": net}


def self_attention_alone():
    """Attention without a feed-forward network, on sequences without padding."""
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.self_attn = nn.MultiheadAttention(6, 3, batch_first=True)
            self.norm1 = nn.LayerNorm(6)

        def forward(self, x):
            y = self.norm1(x)
            return x + self.self_attn(y, y, y, need_weights=False)[0]

    net = Net({"0": Block(), "2": nn.Linear(24, 3)}, lambda m, x: m["2"](m["0"](x).flatten(1)))
    return {"name": "attention alone", "layers": "{ attention = 3, feed_forward = 0 }, { flatten = true }",
            "net": net, "input": [4, 6]}


class Positions(nn.Module):
    def __init__(self, length, size):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(length, size))


def learned_positions():
    def forward(m, x):
        return m["2"]((x + m["0"].weight).flatten(1))

    net = Net({"0": Positions(4, 3), "2": nn.Linear(12, 3)}, forward)
    return {"name": "learned positions", "layers": '{ position = "learned" }, { flatten = true }', "net": net,
            "input": [4, 3]}


def sinusoidal_positions():
    length, size = 6, 5
    places = torch.arange(length, dtype=torch.float64)[:, None]
    waves = torch.zeros(length, size, dtype=torch.float64)
    scale = torch.exp(torch.arange(0, size, 2).double() * (-math.log(10000.0) / size))
    waves[:, 0::2] = torch.sin(places * scale)
    waves[:, 1::2] = torch.cos(places * scale[:size // 2])
    net = Net({"2": nn.Linear(30, 3)}, lambda m, x: m["2"]((x + waves).flatten(1)))
    return {"name": "sinusoidal positions", "layers": '{ position = "sinusoidal" }, { flatten = true }',
            "net": net, "input": [6, 5]}


class Block(nn.Module):
    """A residual block named as ours."""

    def __init__(self, body, shortcut, activation=None):
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activation = activation or nn.Identity()

    def forward(self, x):
        return self.activation(self.body(x) + (self.shortcut(x) if self.shortcut else x))


def residuals():
    same = Block(chain(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1)),
                 None, nn.ReLU())
    other = Block(chain(nn.Conv2d(2, 4, 3, stride=2, padding=1)), chain(nn.Conv2d(2, 4, 1, stride=2)))
    pool = lambda m, x: m["3"](m["1"](m["0"](x)).flatten(1))  # noqa: E731
    yield {
        "name": "residual blocks of images",
        "layers": '{ residual = [{ conv = 2, padding = 1 }, { batch_norm = true }, { activation = "relu" }, '
                  '{ conv = 2, padding = 1 }], activation = "relu" }, '
                  '{ residual = [{ conv = 4, stride = 2, padding = 1 }] }',
        "net": Net({"0": same, "1": other, "3": nn.Linear(36, 3)}, pool), "input": [2, 5, 5],
    }
    dense = Block(chain(nn.Linear(4, 5), nn.Tanh()), chain(nn.Linear(4, 5)), nn.Sigmoid())
    yield {
        "name": "residual block of vectors",
        "layers": '{ residual = [{ dense = 5, activation = "tanh" }], activation = "sigmoid" }',
        "net": Net({"0": dense, "1": nn.Linear(5, 3)}, lambda m, x: m["1"](m["0"](x))), "input": [4],
    }


def along(name, layers, modules, forward, **more):
    return {"name": name, "layers": layers, "net": Net(modules, forward), "input": [7, 4]} | more


def sequences():
    yield along(
        "convolutions along sequences",
        '{ conv1d = 6, kernel = 3, padding = 1, stride = 2, groups = 2, activation = "relu" }, '
        '{ conv1d = 3, kernel = 2, dilation = 2, bias = false }, { global_pool = "max" }',
        {"0": nn.Conv1d(4, 6, 3, padding=1, stride=2, groups=2), "2": nn.Conv1d(6, 3, 2, dilation=2, bias=False),
         "4": nn.Linear(3, 3)},
        lambda m, x: m["4"](m["2"](m["0"](x.transpose(1, 2)).relu()).amax(2)))
    yield along(
        "same padding, pooling along sequences",
        '{ conv1d = 3, kernel = 4, padding = "same" }, { max_pool = 3, stride = 2, padding = 1 }, '
        '{ avg_pool = 2, stride = 1 }, { flatten = true }',
        {"0": nn.Conv1d(4, 3, 4, padding="same"), "4": nn.Linear(9, 3)},
        lambda m, x: m["4"](nn.AvgPool1d(2, 1)(nn.MaxPool1d(3, 2, 1)(m["0"](x.transpose(1, 2))))
                            .transpose(1, 2).flatten(1)))
    yield along(
        "normalisation of sequences",
        '{ layer_norm = true }, { dense = 4, activation = "tanh" }, { group_norm = 2 }, '
        '{ activation = "gelu" }, { batch_norm = true }, { activation = "elu" }, { global_pool = "avg" }',
        {"0": nn.LayerNorm(4), "1": nn.Linear(4, 4), "3": nn.GroupNorm(2, 4), "5": nn.BatchNorm1d(4),
         "8": nn.Linear(4, 3)},
        lambda m, x: m["8"](nn.ELU()(transposed(m["5"])(
            nn.GELU()(transposed(m["3"])(m["1"](m["0"](x)).tanh())))).mean(1)),
        train=True)


def images():
    yield {
        "name": "convolutions with dilation and groups, mean pooling",
        "layers": '{ conv = 4, kernel = 3, dilation = 2, padding = "same", groups = 2, bias = false, '
                  'activation = "silu" }, { avg_pool = 3, stride = 2, padding = 1 }, { max_pool = 2, stride = 1, '
                  'padding = 1 }, { conv = 3, kernel = 2, padding = 1, stride = 2, dilation = 2 }',
        "torch": ["nn.Conv2d(2, 4, 3, stride=1, padding=\"same\", dilation=2, groups=2, bias=False)", "nn.SiLU()",
                  "nn.AvgPool2d(3, stride=2, padding=1)", "nn.MaxPool2d(2, stride=1, padding=1)",
                  "nn.Conv2d(4, 3, 2, stride=2, padding=1, dilation=2)", "nn.Flatten()", "nn.Linear(12, 3)"],
        "input": [2, 6, 6],
    }
    yield {
        "name": "global mean",
        "layers": '{ conv = 4, kernel = 3, activation = { kind = "elu", alpha = 0.7 } }, { global_pool = "avg" }',
        "torch": ["nn.Conv2d(1, 4, 3, stride=1, padding=0)", "nn.ELU(0.7)", "nn.AdaptiveAvgPool2d(1)",
                  "nn.Flatten()", "nn.Linear(4, 3)"],
        "input": [1, 5, 4],
    }
    yield {
        "name": "global maximum, no bias",
        "layers": '{ global_pool = "max" }, { dense = 5, bias = false, activation = { kind = "leaky_relu", '
                  'slope = 0.2 } }',
        "torch": ["nn.AdaptiveMaxPool2d(1)", "nn.Flatten()", "nn.Linear(3, 5, bias=False)", "nn.LeakyReLU(0.2)",
                  "nn.Linear(5, 3)"],
        "input": [3, 4, 5],
    }
    for train in [False, True]:
        yield {
            "name": f"batch normalisation, training: {train}",
            "layers": "{ conv = 3, kernel = 2 }, { batch_norm = true, momentum = 0.3, epsilon = 1e-3 }, "
                      '{ activation = "relu" }, { flatten = true }, { dense = 4 }, { batch_norm = true }',
            "torch": ["nn.Conv2d(2, 3, 2, stride=1, padding=0)", "nn.BatchNorm2d(3, eps=0.001, momentum=0.3)",
                      "nn.ReLU()", "nn.Flatten()", "nn.Linear(27, 4)", "nn.BatchNorm1d(4)", "nn.Linear(4, 3)"],
            "input": [2, 4, 4],
            "train": train,
        }
    yield {
        "name": "layer and group normalisation",
        "layers": "{ group_norm = 2 }, { layer_norm = true, epsilon = 1e-3 }, { flatten = true }, { dense = 6 }, "
                  "{ group_norm = 2 }, { layer_norm = true }",
        "torch": ["nn.GroupNorm(2, 4)", "nn.LayerNorm([4, 3, 2], eps=0.001)", "nn.Flatten()", "nn.Linear(24, 6)",
                  "nn.GroupNorm(2, 6)", "nn.LayerNorm(6)", "nn.Linear(6, 3)"],
        "input": [4, 3, 2],
    }


def cases():
    yield from images()
    yield from sequences()
    for kind in ["RNN", "LSTM", "GRU"]:
        yield recurrent(kind, "last")
        yield recurrent(kind, "sequence", layers=2, bidirectional=True)
        yield plain_recurrent(kind)
    yield recurrent("LSTM", "last", layers=2, bidirectional=True)
    yield recurrent("GRU", "sequence", layers=2)
    yield attention(True, "gelu", 6)
    yield attention(False, "relu", 6)
    yield self_attention_alone()
    yield learned_positions()
    yield sinusoidal_positions()
    yield from residuals()


def computed(case):
    net = case.pop("net", None)
    if net is None:
        net = eval(f"nn.Sequential({', '.join(case['torch'])})", {"nn": nn})  # noqa: S307, our own text
    net = net.double()
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var"):
            tensor.copy_(rounded(torch.rand_like(tensor) + 0.5))
        elif name.endswith("running_mean") or tensor.ndim == 1:
            tensor.copy_(rounded(tensor + torch.randn_like(tensor) * 0.3))
        else:
            tensor.copy_(rounded(tensor))
    net.train(case.get("train", False))
    if "input" in case:
        inputs = rounded(torch.randn(3, *case["input"]))
    else:
        case["vocabulary"], inputs = VOCABULARY, torch.tensor(TEXTS)
        case["input"] = [len(TEXTS[0])]
    before = {name: {"shape": list(w.shape), "values": numbers(w)} for name, w in net.state_dict().items()
              if not name.endswith("num_batches_tracked")}
    # PyTorch's fast path of attention takes no gradient; training mode without dropout is the same.
    for module in net.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.train()
    outputs = net(inputs)
    factors = rounded(torch.randn(3, 3))
    (outputs * factors).sum().backward()
    case |= {
        "weights": before,
        "batch": numbers(inputs),
        "factors": numbers(factors),
        "outputs": numbers(outputs),
        "gradients": {name: numbers(w.grad) for name, w in net.named_parameters()},
    }
    if case.get("train"):
        case["running"] = {name: numbers(w) for name, w in net.state_dict().items() if "running" in name}
    return case


ACTIVATIONS = {
    '"relu"': nn.ReLU(),
    '"leaky_relu"': nn.LeakyReLU(),
    '{ kind = "leaky_relu", slope = 0.3 }': nn.LeakyReLU(0.3),
    '"elu"': nn.ELU(),
    '{ kind = "elu", alpha = 1.7 }': nn.ELU(1.7),
    '"gelu"': nn.GELU(),
    '"silu"': nn.SiLU(),
    '"sigmoid"': nn.Sigmoid(),
    '"tanh"': nn.Tanh(),
    '"softplus"': nn.Softplus(),
    '"mish"': nn.Mish(),
}


def activations():
    points = [-1000, -100, -30, -10, -4, -2.5, -1, -0.5, -0.125, 0.125, 0.5, 1, 2.5, 4, 10, 30, 100, 1000]
    all_of_them = []
    for config, function in ACTIVATIONS.items():
        x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        y = function(x)
        y.sum().backward()
        all_of_them.append({"config": config, "x": points, "y": numbers(y), "gradient": numbers(x.grad)})
    return all_of_them


def main():
    torch.manual_seed(5)
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    content = {"versions": versions, "cases": [computed(case) for case in cases()], "activations": activations()}
    FIXTURE.write_text(json.dumps(content) + "\n")
    print(FIXTURE.name, FIXTURE.stat().st_size)


if __name__ == "__main__":
    main()
