"""Predicts house prices with PyTorch: an ordinary training script.

What makes it tunable by Luthier: it takes its settings as arguments, prints a JSON line after each epoch, and goes on
from its checkpoint folder if there is something in it. Without Luthier it runs just as well:

    python3 train.py --data california_housing.csv
"""

import argparse
import csv
import json
import os
from pathlib import Path

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--data", default="california_housing.csv")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--weight-decay", type=float, default=1e-4)
parser.add_argument("--width", type=int, default=64)
parser.add_argument("--dropout", type=float, default=0.0)
args = parser.parse_args()

seed = int(os.environ.get("LUTHIER_SEED", "0"))
folder = Path(os.environ.get("LUTHIER_CHECKPOINT", "checkpoint"))
until = int(os.environ.get("LUTHIER_UNTIL", args.epochs))
torch.set_num_threads(1)  # trials run beside each other
torch.manual_seed(seed)


def read(path):
    """Inputs and prices in units of 100,000 dollars; rows with missing values are left out."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row.values())]
    places = sorted({row["ocean_proximity"] for row in rows})
    text = {"ocean_proximity", "median_house_value"}
    inputs = [
        [float(value) for name, value in row.items() if name not in text]
        + [float(row["ocean_proximity"] == place) for place in places]
        for row in rows
    ]
    prices = [float(row["median_house_value"]) / 1e5 for row in rows]
    return torch.tensor(inputs), torch.tensor(prices).unsqueeze(1)


x, y = read(args.data)
# The same split for every trial: the last rows of a fixed order are for a test that no trial sees.
order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
train, val = order[: int(0.7 * len(x))], order[int(0.7 * len(x)) : int(0.85 * len(x))]
mean, std = x[train].mean(0), x[train].std(0)
x = (x - mean) / std.clamp_min(1e-6)

model = nn.Sequential(
    nn.Linear(x.shape[1], args.width),
    nn.ReLU(),
    nn.Dropout(args.dropout),
    nn.Linear(args.width, args.width),
    nn.ReLU(),
    nn.Dropout(args.dropout),
    nn.Linear(args.width, 1),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
epoch = 0

checkpoint = folder / "checkpoint.pt"
if checkpoint.exists():
    saved = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    epoch = saved["epoch"]

while epoch < min(args.epochs, until):
    epoch += 1
    # Each epoch draws from a stream of its own, so that one that goes on draws what it would have drawn.
    torch.manual_seed((seed + epoch * 1_000_003) % 2**63)
    model.train()
    for batch in train[torch.randperm(len(train))].split(args.batch_size):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x[batch]), y[batch]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        error = nn.functional.mse_loss(model(x[val]), y[val]).sqrt().item()

    # The report first, then the checkpoint, whole or not at all: whenever this is ended, no step is left out.
    print(json.dumps({"step": epoch, "val_rmse": error}), flush=True)
    folder.mkdir(exist_ok=True)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
    torch.save(state, folder / "new.pt")
    os.replace(folder / "new.pt", checkpoint)
