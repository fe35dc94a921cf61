"""Robustness: how far does the map move when the image hardly does?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskstack.errors import InputError

Explain = Callable[[Tensor], Tensor]
"""From an image, C x H x W, to its map, H x W."""


def max_sensitivity(
    explain: Explain,
    image: Tensor,
    *,
    radius: float = 0.02,
    samples: int = 10,
    generator: torch.Generator | None = None,
    original: Tensor | None = None,
) -> Tensor:
    """Greatest relative change of the map under small changes of the image (Yeh et al. 2019); low is stable.

    The changes are drawn evenly from the cube of that radius around the image, and the map S changes by
    ||S(x + u) - S(x)|| / ||S(x)|| in the Frobenius norm.

    Args:
        explain: Makes the map of an image; called once per sample.
        image: C x H x W.
        radius: Greatest change of a value, in units of the normalised image.
        samples: Number of changes to try.
        generator: Source of the changes, on the CPU, so that every device draws the same; torch's own if None.
        original: Map of the image; made by ``explain`` if None.

    Returns:
        A scalar, at least 0; NaN if the map of the image is all zeros, as nothing is relative to it.

    Raises:
        InputError: Not one sample, or a radius that is not above 0.

    >>> image = torch.ones(3, 8, 8)
    >>> max_sensitivity(lambda _: torch.ones(8, 8), image)
    tensor(0.)
    """
    if samples < 1 or not radius > 0:
        raise InputError(f"radius is {radius} and samples {samples}; they have to be above 0 and at least 1")
    before = explain(image) if original is None else original
    norm = before.norm()
    changes = []
    for _ in range(samples):
        drawn = torch.rand(image.shape, generator=generator, dtype=torch.float32, device="cpu")
        moved = explain(image + ((2 * drawn - 1) * radius).to(image))
        changes.append((moved - before).norm() / norm)
    greatest = torch.stack(changes).max()
    return torch.where(norm > 0, greatest, torch.full_like(greatest, torch.nan))
