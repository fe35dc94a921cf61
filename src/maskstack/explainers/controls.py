"""Control maps, which do not depend on the network; every method should be better than these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Unpack

import torch
from torch import Tensor
from torch.nn import functional

from maskstack import checks
from maskstack.explainers.base import MapExplainer, MapOptions, Maps
from maskstack.scoring import Model, ScoredModel

ControlKind = Literal["random", "centre", "edges"]


class Control(MapExplainer):
    """A map that does not depend on the network.

    Args:
        model: The network; used only for its prediction and its score.
        kind: ``random`` (a 7 x 7 grid of uniform random values, upsampled, so that it has regions like other maps),
            ``centre`` (a Gaussian of a quarter of each side) or ``edges`` (the gradient magnitude of the image,
            slightly blurred).
        seed: Seed of the random map. Each image's map is drawn separately and does not depend on the batch.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is not allowed.
    """

    def __init__(
        self, model: Model, *, kind: ControlKind = "random", seed: int = 0, **options: Unpack[MapOptions]
    ) -> None:
        checks.one_of("kind", kind, KINDS)
        checks.whole("seed", seed, least=0)
        super().__init__(kind, model, {"kind": kind, "seed": seed}, **options)
        self.draw, self.seed = KINDS[kind], seed
        self.takes_volumes = kind != "edges"  # type: ignore[misc]

    def _maps(self, _scored: ScoredModel, images: Tensor) -> Maps:
        return Maps(torch.stack([self.draw(image, self.seed) for image in images]))


def _random(image: Tensor, seed: int) -> Tensor:
    # Seeded by the image's content: maps in a batch differ, and an image's map does not depend on the batch.
    own = int(image.double().abs().sum().mul(1e3).round().item()) % (2**31)
    generator = torch.Generator().manual_seed(seed * 2**31 + own)
    size = tuple(image.shape[1:])
    grid = torch.rand(1, 1, *[7] * len(size), generator=generator)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return functional.interpolate(grid, size=size, mode=mode, align_corners=False)[0, 0]


def _centre(image: Tensor, _seed: int) -> Tensor:
    # Powers are added from the last dimension to the first.
    squares = torch.zeros(())
    for axis, side in reversed(list(enumerate(image.shape[1:], start=1))):
        places = torch.linspace(-1, 1, side) / 0.5
        squares = squares + (places**2).reshape([-1 if other == axis else 1 for other in range(1, image.ndim)])
    return torch.exp(-squares / 2)


def _edges(image: Tensor, _seed: int) -> Tensor:
    grey = image.mean(dim=0, keepdim=True).unsqueeze(0)
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=image.device)
    both = torch.stack([kernel, kernel.T]).unsqueeze(1)
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    size = functional.conv2d(padded, both).square().sum(dim=1, keepdim=True).sqrt()
    padded = functional.pad(size, (4, 4, 4, 4), mode="replicate")
    return functional.avg_pool2d(padded, 9, stride=1)[0, 0]


KINDS: dict[str, Callable[[Tensor, int], Tensor]] = {"random": _random, "centre": _centre, "edges": _edges}
"""The controls by name: each from an image C x H x W and a seed to a map H x W."""
