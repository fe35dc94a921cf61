"""Masks of objects as data sets keep them; none is read before it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw

from maskstack.errors import InputError
from maskstack.errors import reason

VOID = 255  # Pascal VOC's value for pixels that belong to no class for certain.


class Region(Protocol):
    """Pixels of a picture."""

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Mode L of the size, width and height in pixels: 255 inside, else 0."""


@dataclass(frozen=True)
class Polygons:
    """An outline, or several of one object.

    Attributes:
        outlines: Of each, x and y in turn, in pixels.
    """

    outlines: tuple[tuple[float, ...], ...]

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Mode L of the size, width and height in pixels: 255 inside, else 0."""
        drawn = Image.new("L", size)
        pen = ImageDraw.Draw(drawn)
        for outline in self.outlines:
            # Pillow's whole numbers are centres of pixels, the annotation's their corners.
            pen.polygon([value - 0.5 for value in outline], fill=255)
        return drawn


@dataclass(frozen=True)
class RunLengths:
    """COCO's run lengths: of 0 and 1 in turn, down the columns.

    Attributes:
        counts: Lengths, or COCO's compressed text of them.
        size: Width and height of the picture in pixels.
        where: Names the annotation in errors.
    """

    counts: tuple[int, ...] | str
    size: tuple[int, int]
    where: str = "a mask"

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Mode L of the size, width and height in pixels: 255 inside, else 0.

        Raises:
            InputError: The run lengths are for a picture of another size, or do not fill it.
        """
        width, height = self.size
        if self.size != size:
            raise InputError(f"{self.where} is for {width} x {height} pixels, the picture has {size[0]} x {size[1]}")
        counts = unpacked(self.counts) if isinstance(self.counts, str) else self.counts
        if min(counts, default=-1) < 0 or sum(counts) != width * height:
            raise InputError(f"{self.where}: its run lengths do not add up to {width} x {height} pixels; correct them")
        values = np.repeat(np.arange(len(counts)) % 2 * 255, counts).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(values.reshape(width, height).T))


@dataclass(frozen=True)
class MaskFile:
    """A picture of the mask.

    Attributes:
        path: Its file.
        value: The pixel value, or index of the palette, that is inside; None for all but 0 and 255 of a palette, or
            all but 0 of a grey picture.
    """

    path: Path
    value: int | None = None

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Mode L of the size, width and height in pixels: 255 inside, else 0.

        Raises:
            InputError: The file cannot be read.
        """
        try:
            with Image.open(self.path) as image:
                indexed = image.mode == "P"
                values = np.asarray(image if indexed else image.convert("L"))
        # Pillow's decoders meet damage with anything from SyntaxError to struct.error.
        except Exception as error:
            raise InputError(f"the mask {self.path} cannot be read ({reason(error)}); get a whole copy") from error
        inside = values == self.value if self.value is not None else values > 0
        if indexed:
            inside = inside & (values != VOID)
        mask = Image.fromarray((inside * 255).astype(np.uint8))
        return mask if mask.size == size else mask.resize(size, Image.Resampling.NEAREST)


def unpacked(text: str) -> Sequence[int]:
    """Run lengths from COCO's compressed text: five bits a character, each number as the change from two before.

    >>> unpacked("04")
    [0, 4]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
