"""Robustness: how much does the map change when the image hardly changes?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskstack.errors import InputError

Explain = Callable[[Tensor], Tensor]
"""Function from an image, C x H x W, to its map, H x W."""


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

    The changes u are drawn uniformly from [-radius, radius] for each value, and the change of the map S is
    ||S(x + u) - S(x)|| / ||S(x)|| in the Frobenius norm.

    Args:
        explain: Function that makes the map of an image; called once per sample.
        image: Image, C x H x W.
        radius: Greatest change of a value, in units of the normalised image.
        samples: Number of changes to try.
        generator: Source of the changes, on the CPU, so that they are the same on every device; torch's own if None.
        original: Map of the unchanged image; computed with ``explain`` if None.

    Returns:
        A scalar, at least 0; NaN if the map of the image is zero, as a relative change does not exist.

    Raises:
        InputError: ``samples`` is below 1, ``radius`` is not above 0, or a map has another size than that of the image.

    >>> image = torch.ones(3, 8, 8)
    >>> max_sensitivity(lambda _: torch.ones(8, 8), image)
    tensor(0.)
    """
    if samples < 1 or not radius > 0:
        raise InputError(f"radius is {radius} and samples {samples}; they must be above 0 and at least 1")
    before = explain(image) if original is None else original
    norm = before.norm()
    changes = []
    for _ in range(samples):
        drawn = torch.rand(image.shape, generator=generator, dtype=torch.float32, device="cpu")
        moved = explain(image + ((2 * drawn - 1) * radius).to(image))
        if moved.shape != before.shape:
            new, old = (" x ".join(map(str, values.shape)) for values in (moved, before))
            raise InputError(f"explain returned a map of {new}, and the original map is {old}; return one size")
        changes.append((moved - before).norm() / norm)
    greatest = torch.stack(changes).max()
    return torch.where(norm > 0, greatest, torch.full_like(greatest, torch.nan))
