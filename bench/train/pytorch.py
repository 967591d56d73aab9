"""Trains a case of the benchmark in PyTorch and says how fast.

    python bench/train/pytorch.py CASE [--variant eager] [--threads 1] [--seconds 3]
    python bench/train/pytorch.py --list
    python bench/train/pytorch.py limit [--threads 1] [--seconds 3]

Prints one line of JSON. With --serve it warms up, says that it is ready, and then measures for as many seconds as
each line of its input says, so that it can take turns with others. A step is: a batch by its indices from tensors in
memory, forward, loss, backward, Adam. `limit` measures products of matrices of 1024 x 1024. Written for PyTorch 2.15.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
from torch import nn
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts/train"))

from named_models import ResNet, Vgg


def mnist():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(0.4), nn.Linear(1024, 10),
    )


def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))


def small():
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2))


class Reviews(nn.Module):
    """The network of examples/reviews.toml with an LSTM. Padding is token 0, behind the text."""

    def __init__(self, vocabulary, packed):
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(vocabulary, 50, padding_idx=0)
        self.lstm = nn.LSTM(50, 64, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(128, 2)

    def forward(self, tokens):
        real = tokens != 0
        x = self.dropout(self.embedding(tokens))
        if self.packed:
            lengths = real.sum(dim=1).clamp(min=1)
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            x, _ = self.lstm(x)
            x, _ = nn.utils.rnn.pad_packed_sequence(x, batch_first=True, total_length=tokens.shape[1])
        else:
            x, _ = self.lstm(x)
        x = x.masked_fill(~real.unsqueeze(2), -1e30).amax(dim=1)
        return self.fc(self.dropout(x))


# Model, shape of an example, classes, rows (so many whole batches), batch, learning rate.
CASES = {
    "mnist": (mnist, (1, 28, 28), 10, 10_000, 100, 1e-3),
    "mlp": (mlp, (784,), 10, 10_240, 128, 1e-3),
    "vgg16-32": (lambda: Vgg("vgg16", 10), (3, 32, 32), 10, 512, 8, 1e-4),
    "vgg16-224": (lambda: Vgg("vgg16", 10), (3, 224, 224), 10, 64, 8, 1e-4),
    "resnet18": (lambda: ResNet([2, 2, 2, 2], 10), (3, 32, 32), 10, 2048, 32, 1e-3),
    "resnet18-small": (lambda: ResNet([2, 2, 2, 2], 10, stem="small"), (3, 32, 32), 10, 2048, 32, 1e-3),
    "case-study": (small, (10,), 2, 608, 32, 1e-3),
    "case-study-full": (small, (10,), 2, 600, 600, 1e-3),
    "lstm": (None, (50,), 2, 8_500, 50, 2e-3),
}


def variants(case):
    """Ways to run it. The first word is the layout or the handling of padding."""
    if case == "lstm":
        # Without packing, the LSTM that reads backwards begins with the padding: another network, but a faster one.
        return ["packed", "padded", "compile-padded"]
    if len(CASES[case][1]) == 1:
        return ["eager", "compile", "compile-step"]
    return ["eager", "channels-last", "compile", "compile-channels-last"]


def texts(path):
    """Tokens of [rows, 50]: those of a file of 32-bit numbers, or drawn with about the lengths of film reviews."""
    if path:
        return torch.from_file(path, size=os.path.getsize(path) // 4, dtype=torch.int32).view(-1, 50).long()
    rows = CASES["lstm"][3]
    lengths = torch.normal(21.0, 9.5, (rows, 1)).clamp(1, 50).long()
    # As in a language, few words are frequent.
    words = (2 + 18_000 * torch.rand(rows, 50) ** 4).long()
    return words.masked_fill(torch.arange(50) >= lengths, 0)


class Training:
    def __init__(self, case, variant, tokens):
        torch.manual_seed(0)
        build, shape, classes, rows, self.batch, rate = CASES[case]
        self.layout = torch.channels_last if "channels-last" in variant else torch.contiguous_format
        if case == "lstm":
            self.x = texts(tokens)
            self.model = Reviews(int(self.x.max()) + 1, packed="packed" in variant)
        else:
            self.x = torch.randn(rows, *shape)
            if len(shape) == 3:
                self.x = self.x.contiguous(memory_format=self.layout)
            self.model = build().to(memory_format=self.layout)
        self.y = torch.randint(classes, (len(self.x),))
        # One kernel for all of Adam: of PyTorch's three implementations the fastest on CPUs.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, fused=True)
        self.loss = lambda x, y: cross_entropy(self.model(x), y)
        self.update = self.optimizer.step
        if "compile" in variant:
            self.loss = torch.compile(self.loss)
        if "step" in variant:
            self.update = torch.compile(self.optimizer.step)
        self.order, self.at = torch.randperm(len(self.x)), 0

    def step(self):
        if self.at + self.batch > len(self.x):
            self.order, self.at = torch.randperm(len(self.x)), 0
        rows = self.order[self.at : self.at + self.batch]
        self.at += self.batch
        loss = self.loss(self.x[rows], self.y[rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.update()
        # Whoever trains looks at the loss.
        return loss.item()

    def measure(self, seconds):
        started, steps = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds or steps < 2:
            self.step()
            steps += 1
        return {"steps": steps, "examples": steps * self.batch, "seconds": elapsed, "rate": steps / elapsed}


class Limit:
    """Products of square matrices."""

    def __init__(self, size=1024):
        self.a, self.b, self.y = (torch.randn(size, size) for _ in range(3))
        self.flops = 2 * size**3

    def step(self):
        torch.mm(self.a, self.b, out=self.y)

    def measure(self, seconds):
        # The best of many: what the machine can do, not what it did beside others.
        best, until = 0.0, time.perf_counter() + seconds
        while (started := time.perf_counter()) < until:
            self.step()
            best = max(best, self.flops / (time.perf_counter() - started))
        return {"gflops": best / 1e9}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", nargs="?", choices=[*CASES, "limit"])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--variant", default="eager")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--tokens", help="a file with the tokens of texts")
    parser.add_argument("--serve", action="store_true")
    args = parser.parse_args()
    if args.list:
        print(json.dumps({"torch": torch.__version__} | {case: variants(case) for case in CASES}))
        return
    torch.set_num_threads(args.threads)
    training = Limit() if args.case == "limit" else Training(args.case, args.variant, args.tokens)
    started = time.perf_counter()
    warm = 0
    while warm < 3 or time.perf_counter() - started < 1.0:
        training.step()
        warm += 1
    about = {"case": args.case, "variant": args.variant, "threads": args.threads, "torch": torch.__version__}
    if args.case != "limit":
        about["batch"] = training.batch
        about["weights"] = sum(it.numel() for it in training.model.parameters())
    if not args.serve:
        print(json.dumps(about | training.measure(args.seconds)))
        return
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        print(json.dumps(training.measure(float(line))), flush=True)


if __name__ == "__main__":
    main()
