"""Scores of small networks, shared by the tests of the mask search."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(scope="session")
def score() -> Callable[[Tensor, Tensor], Tensor]:
    """The one answer of a smooth network."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 1))
    return lambda images, rows: net(images)[:, 0]


@pytest.fixture(scope="session")
def net_score() -> Callable[[Tensor, Tensor], Tensor]:
    """One of four answers of a network with rectifiers."""
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
    net = nn.Sequential(conv, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 4)).requires_grad_(False)
    return lambda images, rows: net(images)[:, 1]


@pytest.fixture(scope="session")
def photos() -> Tensor:
    """Five images that ``net_score`` takes, 5 x 3 x 32 x 24."""
    return torch.randn(5, 3, 32, 24, generator=torch.Generator().manual_seed(3)) * 2
