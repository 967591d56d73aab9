"""torchvision's VGG and ResNet, and the text classifiers, written out for PyTorch without torchvision.

Names in the state dicts and layouts are those of https://github.com/pytorch/vision (models/vgg.py, models/resnet.py).
"""

import math

import torch
from torch import nn

VGG = {
    "vgg11": [1, 1, 2, 2, 2],
    "vgg13": [2, 2, 2, 2, 2],
    "vgg16": [2, 2, 3, 3, 3],
    "vgg19": [2, 2, 4, 4, 4],
}


def scaled(channels, width):
    """So many channels times a factor, one at least. Halves are rounded up."""
    return max(1, int(channels * width + 0.5))


class Vgg(nn.Module):
    """Simonyan and Zisserman 2014."""

    def __init__(self, name, classes, width=1.0, batch_norm=False, channels=3):
        super().__init__()
        layers = []
        for filters, count in zip([64, 128, 256, 512, 512], VGG[name]):
            for _ in range(count):
                layers.append(nn.Conv2d(channels, scaled(filters, width), 3, padding=1))
                channels = scaled(filters, width)
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU())
            layers.append(nn.MaxPool2d(2, 2))
        hidden = scaled(4096, width)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(channels * 49, hidden), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(hidden, classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class BasicBlock(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or inputs != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, filters, 1, stride=stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """He et al. 2015, with basic blocks."""

    def __init__(self, blocks, classes, width=1.0, stem="imagenet", channels=3):
        super().__init__()
        inputs = scaled(64, width)
        self.small = stem == "small"
        kernel, stride, padding = (3, 1, 1) if self.small else (7, 2, 3)
        self.conv1 = nn.Conv2d(channels, inputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        for i, count in enumerate(blocks):
            filters = scaled(64 << i, width)
            layer = []
            for j in range(count):
                layer.append(BasicBlock(inputs, filters, 2 if i > 0 and j == 0 else 1))
                inputs = filters
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = torch.max_pool2d(x, 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def lengths(tokens):
    """The number of tokens before the padding; 1 for a text without any, as packing wants it."""
    return (tokens != 0).sum(dim=1).clamp(min=1)


class RecurrentText(nn.Module):
    """Embedding, LSTM or GRU, and a linear layer on the last state of each direction."""

    def __init__(self, kind, vocabulary, classes, embedding, units, layers, bidirectional):
        super().__init__()
        self.kind, self.bidirectional = kind, bidirectional
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=0)
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        cell = cell(embedding, units, layers, batch_first=True, bidirectional=bidirectional)
        setattr(self, kind, cell)
        self.fc = nn.Linear(units * (2 if bidirectional else 1), classes)

    def forward(self, tokens):
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), lengths(tokens), batch_first=True, enforce_sorted=False
        )
        _, state = getattr(self, self.kind)(packed)
        state = state[0] if self.kind == "lstm" else state
        last = torch.cat([state[-2], state[-1]], dim=1) if self.bidirectional else state[-1]
        return self.fc(last)


class RowRnn(nn.Module):
    """Reads an image row by row."""

    def __init__(self, kind, channels, width, classes, units):
        super().__init__()
        self.kind = kind
        cell = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
        setattr(self, kind, cell(channels * width, units, batch_first=True))
        self.fc = nn.Linear(units, classes)

    def forward(self, images):
        rows = images.transpose(1, 2).flatten(2)
        _, state = getattr(self, self.kind)(rows)
        state = state[0] if self.kind == "lstm" else state
        return self.fc(state[-1])


class ConvText(nn.Module):
    """Kim 2014: filters of several widths beside each other, and the largest value of each."""

    def __init__(self, vocabulary, classes, embedding, filters, kernels):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=0)
        self.convs = nn.ModuleList([nn.Conv1d(embedding, filters, kernel, padding="same") for kernel in kernels])
        self.fc = nn.Linear(filters * len(kernels), classes)

    def forward(self, tokens):
        real = (tokens != 0).unsqueeze(1)
        x = self.embedding(tokens).transpose(1, 2)
        pooled = [torch.relu(conv(x)).masked_fill(~real, 0.0).amax(dim=2) for conv in self.convs]
        return self.fc(torch.cat(pooled, dim=1))


class Transformer(nn.Module):
    """An encoder over texts or the rows of images, and the mean over its steps."""

    def __init__(self, classes, width, heads, feed_forward, blocks, vocabulary=None, features=None):
        super().__init__()
        if vocabulary is not None:
            self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        else:
            self.project = nn.Linear(features, width)
        layer = nn.TransformerEncoderLayer(width, heads, feed_forward, batch_first=True, norm_first=True)
        norm = nn.LayerNorm(width)
        self.encoder = nn.TransformerEncoder(layer, blocks, norm, enable_nested_tensor=False)
        self.fc = nn.Linear(width, classes)

    def forward(self, inputs):
        if inputs.dim() == 2:
            real, x = inputs != 0, self.embedding(inputs)
        else:
            x = self.project(inputs.transpose(1, 2).flatten(2))
            real = torch.ones(x.shape[:2], dtype=torch.bool)
        _, length, width = x.shape
        position = torch.arange(length).unsqueeze(1)
        angle = position * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        waves = torch.zeros(length, width)
        waves[:, 0::2], waves[:, 1::2] = torch.sin(angle), torch.cos(angle)
        x = self.encoder(x + waves, src_key_padding_mask=~real)
        real = real.unsqueeze(2).float()
        return self.fc((x * real).sum(dim=1) / real.sum(dim=1))
