"""Opens a model that Luthier trained in PyTorch, and runs it.

    python scripts/train/load_in_pytorch.py model.safetensors [inputs.csv]     (needs torch and safetensors)

The file's metadata says what the network is: the entry `pytorch` is an expression of modules of torch.nn.
`inputs.csv` holds one encoded row a line, numbers alone, as the model is given them: standardised where the
study file says so, images as [channel][y][x]. The outputs (logits) are printed as comma-separated values.
"""

import ast
import sys

import torch
from safetensors import safe_open
from torch import nn


def build(expression):
    """The module that `expression` says, which may hold nothing but calls of torch.nn with plain arguments."""

    def module(node):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="nn"), attr=name)):
                keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
                return getattr(nn, name)(*map(module, node.args), **keywords)
            case _:
                return ast.literal_eval(node)

    return module(ast.parse(expression, mode="eval").body)


def load(path):
    with safe_open(path, framework="pt") as file:
        network = build(file.metadata()["pytorch"])
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()}, strict=True)
    return network.eval()


def first_shape(network, numbers):
    """The shape of a row: images where the first weights are those of a convolution."""
    first = next((module for module in network if isinstance(module, (nn.Conv2d, nn.Linear))), None)
    if not isinstance(first, nn.Conv2d):
        return [numbers]
    side = round((numbers // first.in_channels) ** 0.5)
    assert first.in_channels * side * side == numbers, "images that are not square need a shape of your own"
    return [first.in_channels, side, side]


def main():
    network = load(sys.argv[1])
    print(network)
    if len(sys.argv) > 2:
        with open(sys.argv[2]) as lines:
            rows = torch.tensor([[float(number) for number in line.split(",")] for line in lines])
        with torch.no_grad():
            for outputs in network(rows.reshape(len(rows), *first_shape(network, rows.shape[1]))):
                print(",".join(f"{output:.9g}" for output in outputs.tolist()))


if __name__ == "__main__":
    main()
