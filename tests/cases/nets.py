"""Networks and images such as users bring, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from maskstack import MDM, Explanation

QUICK: dict[str, Any] = {"sizes": (2, 5), "steps": 3, "members": 1}
IMAGES = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))


def net(classes: int = 5, *after: nn.Module, channels: int = 3, dims: int = 2, scale: float = 8.0) -> nn.Sequential:
    """A small network in evaluation mode, the same for the same arguments."""
    torch.manual_seed(0)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[dims - 1]
    body = nn.Sequential(conv(channels, 8, 3), nn.ReLU(), pool(1), nn.Flatten(), nn.Linear(8, classes))
    with torch.no_grad():
        body[-1].weight.mul_(scale)
    return nn.Sequential(*body, *after).eval()


class Then(nn.Module):
    """A network whose forward is a function of its parts and the images."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts or (net(),))

    def forward(self, images: Tensor, *more: Any, **named: Any) -> Any:
        return self.function(images, *self.parts, *more, **named)


def then(function: Callable[..., Any], classes: int = 5) -> Then:
    """A function of the images and of a network with so many classes."""
    return Then(function, net(classes)).eval()


def explain(model: Any, images: Any = IMAGES, target: Any = None, **options: Any) -> Explanation:
    """A short explanation."""
    return MDM(model, **{**QUICK, **options})(images, target)
