"""Writes the fixtures of the tests of named models: names of the state dicts, and outputs; small state dicts.

    python scripts/train/named_fixtures.py

Weights and images are made by a formula that the tests compute as well, so the fixture stays small.
`state_legacy.pth` holds addresses of memory and so has other bytes at each run.
Needs PyTorch; written with 2.15.
"""

import json
from pathlib import Path

import numpy as np
import torch

from named_models import ConvText, RecurrentText, ResNet, RowRnn, Transformer, Vgg

FIXTURES = Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures"
OUT = FIXTURES / "named_models.json"


def even(name, count):
    """Numbers that look drawn evenly from [-1, 1), by a hash of the name and the position."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) % 2**32
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed) % 2**32
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(2246822519)) % 2**32
    x ^= x >> np.uint64(13)
    x = (x * np.uint64(3266489917)) % 2**32
    x ^= x >> np.uint64(16)
    return x.astype(np.float64) / 2**31 - 1.0


def fill(name, shape):
    """The values of a tensor. Matrices and filters keep the size of what goes through them."""
    values = even(name, int(np.prod(shape)))
    if name.endswith("running_var"):
        values = 1.0 + 0.5 * values
    elif len(shape) > 1:
        values = values * np.sqrt(6.0 / np.prod(shape[1:]))
        if name == "embedding.weight":
            # The vector of padding.
            values[: shape[1]] = 0.0
    elif name.endswith("weight"):
        values = 1.0 + 0.2 * values
    else:
        values = 0.1 * values
    return torch.tensor(values.reshape(shape), dtype=torch.float32)


def load(model):
    """Puts the formula's values into a model, and returns the shapes of its state dict."""
    state = model.state_dict()
    state = {name: fill(name, tensor.shape) for name, tensor in state.items() if "num_batches" not in name}
    model.load_state_dict(state, strict=False)
    return {name: list(tensor.shape) for name, tensor in state.items()}


def case(name, architecture, input, model, outputs):
    shapes = load(model)
    model.eval()
    batch = input["batch"]
    if "tokens" in input:
        inputs = torch.tensor(input["tokens"])
    else:
        shape = [batch, *input["shape"]]
        inputs = torch.tensor(even("input", int(np.prod(shape))).reshape(shape), dtype=torch.float32)
    with torch.no_grad():
        logits = model(inputs).double().flatten().tolist()
    return {
        "name": name, "architecture": architecture, **input, "outputs": outputs, "state": shapes,
        "logits": [float(f"{x:.7g}") for x in logits],
    }


def images(channels, height, width, batch=2):
    return {"shape": [channels, height, width], "batch": batch}


def state_dicts():
    """Files as `torch.save` writes them: of today, of before 1.6, and a checkpoint in several formats."""
    matrix = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4 - 0.5
    state = {"0.weight": matrix, "0.bias": torch.tensor([1.0, -2.0])}
    torch.save(state, FIXTURES / "state_zip.pth")
    torch.save(state, FIXTURES / "state_legacy.pth", _use_new_zipfile_serialization=False)
    checkpoint = {
        "epoch": 3,
        "state_dict": {
            # A view: the reader has to go by strides.
            "module.0.weight": matrix.t().contiguous().t().double(),
            "module.0.bias": state["0.bias"].half(),
            "module.1.weight": torch.tensor([[0.5, 0.25]], dtype=torch.bfloat16),
            "module.1.bias": torch.tensor([4.0]),
            "module.1.num_batches_tracked": torch.tensor(7),
        },
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2, 3)}}},
    }
    torch.save(checkpoint, FIXTURES / "state_checkpoint.pt")


def main():
    torch.manual_seed(0)
    tokens = [[5, 2, 9, 1, 7, 3, 8, 4], [6, 6, 2, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0], [9, 8, 7, 6, 5, 4, 0, 0]]
    text = {"tokens": tokens, "vocabulary": 10, "batch": len(tokens)}
    cases = [
        case("VGG16 on 32x32", '{ kind = "vgg16", width = 0.0625 }', images(3, 32, 32), Vgg("vgg16", 5, 1 / 16), 5),
        case("VGG16 on 320x256", '{ kind = "vgg16", width = 0.0625 }', images(3, 320, 256, 1), Vgg("vgg16", 5, 1 / 16), 5),
        case("VGG11 on 224x224", '{ kind = "vgg11", width = 0.0625 }', images(3, 224, 224, 1), Vgg("vgg11", 5, 1 / 16), 5),
        case("VGG13 with batch norm", '{ kind = "vgg13_bn", width = 0.0625 }', images(3, 48, 64), Vgg("vgg13", 5, 1 / 16, True), 5),
        case("VGG19 with batch norm", '{ kind = "vgg19", width = 0.0625, batch_norm = true }', images(1, 32, 32), Vgg("vgg19", 5, 1 / 16, True, 1), 5),
        case("ResNet-18", '{ kind = "resnet18", width = 0.125 }', images(3, 64, 64), ResNet([2, 2, 2, 2], 5, 1 / 8), 5),
        case("ResNet-18 for small images", '{ kind = "resnet18", width = 0.125, stem = "small" }', images(3, 32, 32), ResNet([2, 2, 2, 2], 5, 1 / 8, "small"), 5),
        case("ResNet-34", '{ kind = "resnet34", width = 0.0625 }', images(3, 65, 47), ResNet([3, 4, 6, 3], 5, 1 / 16), 5),
        case("LSTM", '{ kind = "lstm_text", embedding = 6, units = 7 }', text, RecurrentText("lstm", 10, 3, 6, 7, 1, False), 3),
        case("two LSTMs in both directions", '{ kind = "lstm_text", embedding = 6, units = 5, layers = 2, bidirectional = true }', text, RecurrentText("lstm", 10, 3, 6, 5, 2, True), 3),
        case("GRU", '{ kind = "gru_text", embedding = 6, units = 7 }', text, RecurrentText("gru", 10, 3, 6, 7, 1, False), 3),
        case("two GRUs in both directions", '{ kind = "gru_text", embedding = 6, units = 5, layers = 2, bidirectional = true }', text, RecurrentText("gru", 10, 3, 6, 5, 2, True), 3),
        case("convolutions over text", '{ kind = "cnn_text", embedding = 6, filters = 4 }', text, ConvText(10, 3, 6, 4, [3, 4, 5]), 3),
        case("rows of an image", '{ kind = "row_rnn", units = 9 }', images(2, 6, 5), RowRnn("lstm", 2, 5, 4, 9), 4),
        case("rows of an image with a plain cell", '{ kind = "row_rnn", cell = "rnn", units = 9 }', images(2, 6, 5), RowRnn("rnn", 2, 5, 4, 9), 4),
        case("a transformer over text", '{ kind = "transformer", blocks = 2, width = 8, heads = 2, feed_forward = 12 }', text, Transformer(3, 8, 2, 12, 2, vocabulary=10), 3),
        case("a transformer over rows", '{ kind = "transformer", blocks = 1, width = 8, heads = 4, feed_forward = 12 }', images(2, 6, 5), Transformer(4, 8, 4, 12, 1, features=10), 4),
    ]
    OUT.write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")
    state_dicts()
    print(f"{OUT.name}: {len(cases)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
