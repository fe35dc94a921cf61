"""A network whose activation maps the papers' formulas can be written out for."""

import torch
from torch import nn

CHANNELS, CLASSES = 6, 5


def network(seed: int = 0) -> nn.Sequential:
    """Its layer ``1`` has gradients that differ from place to place, and positive activations."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AvgPool2d(4)),
        nn.Sequential(nn.Conv2d(4, CHANNELS, 3, padding=1), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Conv2d(CHANNELS, 8, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(8, CLASSES),
    )
