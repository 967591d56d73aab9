"""Writes a state dict of torchvision's full VGG16 with random weights, and what PyTorch computes with it.

    python scripts/train/full_vgg16.py FOLDER
    LUTHIER_FULL_VGG16=FOLDER cargo test --release --workspace --lib -- --ignored full_vgg16

The folder gets vgg16.pth (553 MB) and vgg16.json. Needs PyTorch; written with 2.15.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from named_fixtures import even
from named_models import Vgg


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = Vgg("vgg16", 1000)
    for module in model.modules():
        # He's initialisation keeps the size of what goes through; biases are there to be noticed.
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, std=0.1)
    model.eval()
    torch.save(model.state_dict(), folder / "vgg16.pth")
    shape = [2, 3, 224, 224]
    images = torch.tensor(even("input", int(np.prod(shape))).reshape(shape), dtype=torch.float32)
    with torch.no_grad():
        logits = model(images).double().flatten().tolist()
    (folder / "vgg16.json").write_text(json.dumps({"logits": logits}) + "\n")
    print(f"{sum(p.numel() for p in model.parameters())} weights; logits up to {max(map(abs, logits)):.3g}")


if __name__ == "__main__":
    main()
