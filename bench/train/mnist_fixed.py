"""examples/mnist-fixed.toml in PyTorch: the same network, images, batches and optimizer.

    python bench/train/mnist_fixed.py FOLDER [--seed 0] [--threads 2] [--epochs 10] [--loader] [--workers 2]

FOLDER holds the four files of MNIST. The images lie in memory as one tensor, normalised; with --loader a DataLoader reads
and normalises them one by one, as tutorials do. Prints one line of JSON: the seconds from the first byte read to the
test accuracy, those of training alone, and the accuracy of the epoch that was best on the validation images. Written for
PyTorch 2.15.
"""

import argparse
import copy
import gzip
import json
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from pytorch import mnist


def idx(path, header, *shape):
    return torch.frombuffer(bytearray(gzip.open(path).read()[header:]), dtype=torch.uint8).view(-1, *shape)


class Images(Dataset):
    """Images that are normalised one by one."""

    def __init__(self, images, labels, mean, std):
        self.images, self.labels, self.mean, self.std = images, labels, mean, std

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return (self.images[row].float() - self.mean) / self.std, int(self.labels[row])


def in_memory(x, y, batch):
    """The batches of an epoch in random order."""
    for rows in torch.randperm(len(x)).split(batch):
        yield x[rows], y[rows]


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        right = sum((model(x[i : i + 250]).argmax(1) == y[i : i + 250]).sum().item() for i in range(0, len(x), 250))
    model.train()
    return right / len(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--loader", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    started = time.perf_counter()
    images, labels, test, answers = (
        idx(args.folder / f"{part}-{kind}-ubyte.gz", header, *shape)
        for part in ("train", "t10k")
        for kind, header, shape in (("images-idx3", 16, (1, 28, 28)), ("labels-idx1", 8, ()))
    )
    shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, validation = shuffled[600:], shuffled[:600]
    pixels = images[train].float()
    mean, std = pixels.mean(), pixels.std()
    labels, answers = labels.long(), answers.long()
    valid_x, valid_y = (images[validation].float() - mean) / std, labels[validation]
    x, y = (pixels - mean) / std, labels[train]
    if args.loader:
        data = Images(images[train], y, mean, std)
        loader = DataLoader(data, batch_size=100, shuffle=True, num_workers=args.workers,
                            persistent_workers=args.workers > 0)

    # Of PyTorch's layouts and implementations of Adam the fastest for this network.
    model = mnist().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    best, kept, training = -1.0, None, 0.0
    for _ in range(args.epochs):
        begun = time.perf_counter()
        for inputs, targets in loader if args.loader else in_memory(x, y, 100):
            loss = cross_entropy(model(inputs), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        training += time.perf_counter() - begun
        found = accuracy(model, valid_x, valid_y)
        if found > best:
            best, kept = found, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    result = accuracy(model, (test.float() - mean) / std, answers)
    seconds = time.perf_counter() - started
    print(json.dumps({"seed": args.seed, "seconds": seconds, "training": training, "accuracy": result}))


if __name__ == "__main__":
    main()
