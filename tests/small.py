"""A small network and random photos, shared by the tests of several folders."""

import torch
from torch import Tensor, nn


def network(seed: int = 0) -> nn.Sequential:
    """Five classes; a batch norm that can be folded, an activation in place, dropout: what real networks have."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, stride=2),
        nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 5),
    )  # fmt: skip


def photos(count: int, size: tuple[int, int] = (32, 40), *, seed: int = 1) -> Tensor:
    """Normally distributed pixels, count x 3 x height x width."""
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))
