"""Growing a mask to all sides."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image


def dilated(mask: Image.Image, radius: float) -> Image.Image:
    """A mask and all pixels up to a distance from it.

    Args:
        mask: Mode L, 0 or 255.
        radius: Of the disc by which it grows, in pixels.
    """
    inside = np.asarray(mask) > 0
    rows = np.flatnonzero(inside.any(axis=1))
    if not rows.size or radius < 1:
        return mask
    grown = inside.copy()
    reach = min(math.floor(radius), inside.shape[0])
    # A disc is made of rows of different widths: widen by each and move up and down.
    for height in range(reach + 1):
        wide = _widened(inside[rows[0] : rows[-1] + 1], math.floor(math.sqrt(radius**2 - height**2)))
        for start in (rows[0] - height, rows[0] + height):
            first, last = max(start, 0), min(start + len(wide), len(grown))
            if first < last:
                grown[first:last] |= wide[first - start : last - start]
    return Image.fromarray((grown * 255).astype(np.uint8))


def _widened(inside: np.ndarray, radius: int) -> np.ndarray:
    """Each row grown by so many pixels to both sides, by counting how many of those around are inside."""
    width = inside.shape[1]
    counts = np.zeros((len(inside), width + 1), dtype=np.int32)
    np.cumsum(inside, axis=1, out=counts[:, 1:])
    ends = np.minimum(np.arange(width) + radius + 1, width)
    starts = np.maximum(np.arange(width) - radius, 0)
    return counts[:, ends] > counts[:, starts]
