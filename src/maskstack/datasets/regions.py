"""Masks of objects in the forms that data sets use; each is read when it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw

from maskstack.errors import InputError, reason
from maskstack.models.photos import open_image

VOID = 255  # Pascal VOC's value for pixels of uncertain class.


class Region(Protocol):
    """A set of pixels of an image."""

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Image of mode L with this width and height: 255 inside, else 0."""


@dataclass(frozen=True)
class Polygons:
    """One or more outlines of an object, which covers the pixels whose centre is inside of an outline.

    An object that covers no centre, because it is thinner than a pixel, covers the pixels that its outlines pass.

    Attributes:
        outlines: Corners of each outline in pixels, as x1, y1, x2, y2 and so on.
    """

    outlines: tuple[tuple[float, ...], ...]

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Image of mode L with this width and height: 255 inside, else 0."""
        inside = np.zeros(size[::-1], dtype=bool)
        for outline in self.outlines:
            inside |= _filled(outline, size)
        if inside.any():
            return Image.fromarray((inside * 255).astype(np.uint8))
        drawn = Image.new("L", size)
        pen = ImageDraw.Draw(drawn)
        for outline in self.outlines:
            # Integer coordinates are pixel centres in Pillow, but pixel corners in the annotation.
            pen.polygon([value - 0.5 for value in outline], fill=255)
        return drawn


@dataclass(frozen=True)
class RunLengths:
    """COCO's run lengths: lengths of alternating runs of 0 and 1, column by column.

    Attributes:
        counts: Lengths, or COCO's compressed text of them.
        size: Width and height of the image in pixels.
        where: File and annotation, for messages.
    """

    counts: tuple[int, ...] | str
    size: tuple[int, int]
    where: str = "a mask"

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Image of mode L with this width and height: 255 inside, else 0.

        Raises:
            InputError: The run lengths are for an image of another size, or their sum is not the number of pixels.
        """
        width, height = self.size
        if self.size != size:
            raise InputError(
                f"{self.where} is for {width} x {height} pixels, but the image has {size[0]} x {size[1]}; correct it"
            )
        counts = unpacked(self.counts) if isinstance(self.counts, str) else self.counts
        if min(counts, default=-1) < 0 or sum(counts) != width * height:
            raise InputError(f"{self.where}: its run lengths do not add up to {width} x {height} pixels; correct them")
        values = np.repeat(np.arange(len(counts)) % 2 * 255, counts).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(values.reshape(width, height).T))


@dataclass(frozen=True)
class MaskFile:
    """An image file of a mask.

    Attributes:
        path: Path of the file.
        value: Pixel value, or palette index, of the object. If None, the object is all indices of a palette image
            except 0 and 255, or all values of a grey image except 0.
    """

    path: Path
    value: int | None = None

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Image of mode L with this width and height: 255 inside, else 0.

        Raises:
            InputError: The file cannot be read.
        """
        try:
            with open_image(self.path) as image:
                indexed = image.mode == "P"
                values = np.asarray(image if indexed else image.convert("L"))
        # Pillow's decoders raise many types of error for a damaged file, from SyntaxError to struct.error.
        except Exception as error:
            raise InputError(f"the mask {self.path} cannot be read ({reason(error)}); get a complete copy") from error
        inside = values == self.value if self.value is not None else values > 0
        if indexed:
            inside = inside & (values != VOID)
        mask = Image.fromarray((inside * 255).astype(np.uint8))
        return mask if mask.size == size else mask.resize(size, Image.Resampling.NEAREST)


def _filled(outline: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre is inside of an outline, height x width booleans. Pillow draws its border in addition."""
    width, height = size
    corners = np.reshape(outline, (-1, 2))
    # A row of pixel centres enters or leaves the outline wherever it crosses an edge.
    crossings = np.zeros((height, width + 1), dtype=np.int32)
    for (x, y), (to_x, to_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        first, last = (min(max(math.ceil(edge - 0.5), 0), height) for edge in sorted((y, to_y)))
        if first < last:
            rows = np.arange(first, last)
            at = x + (rows + 0.5 - y) * (to_x - x) / (to_y - y)
            crossings[rows, np.ceil(at - 0.5).clip(0, width).astype(int)] += 1
    inside: np.ndarray = crossings.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


def unpacked(text: str) -> Sequence[int]:
    """Run lengths from COCO's compressed text: five bits per character; numbers are differences to that two before.

    >>> unpacked("04")
    [0, 4]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise InputError(f"the run lengths {text!r:.60} are not those of COCO; correct them")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts


def dilated(mask: Image.Image, radius: float) -> Image.Image:
    """Dilate a mask by a disc.

    Args:
        mask: Image of mode L, 0 or 255.
        radius: Radius of the disc in pixels.
    """
    inside = np.asarray(mask) > 0
    rows = np.flatnonzero(inside.any(axis=1))
    if not rows.size or radius < 1:
        return mask
    grown = inside.copy()
    reach = min(math.floor(radius), inside.shape[0])
    # A disc consists of rows of different widths: widen the mask by each and shift it up and down.
    for height in range(reach + 1):
        wide = _dilated_rows(inside[rows[0] : rows[-1] + 1], math.floor(math.sqrt(radius**2 - height**2)))
        for start in (rows[0] - height, rows[0] + height):
            first, last = max(start, 0), min(start + len(wide), len(grown))
            if first < last:
                grown[first:last] |= wide[first - start : last - start]
    return Image.fromarray((grown * 255).astype(np.uint8))


def _dilated_rows(inside: np.ndarray, radius: int) -> np.ndarray:
    """Dilate each row by ``radius`` pixels to both sides, by counting the pixels inside of this window."""
    width = inside.shape[1]
    counts = np.zeros((len(inside), width + 1), dtype=np.int32)
    np.cumsum(inside, axis=1, out=counts[:, 1:])
    ends = np.minimum(np.arange(width) + radius + 1, width)
    starts = np.maximum(np.arange(width) - radius, 0)
    return counts[:, ends] > counts[:, starts]
