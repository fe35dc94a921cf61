"""Pictures from numbers, and files from pictures."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EFFORT = 1  # Level of compression of zlib, from 0 to 9.


def save_png(picture: Image.Image | Figure, path: Path) -> None:
    """Write a picture or a figure as PNG, lossless, with little effort to compress it: several times faster."""
    if isinstance(picture, Image.Image):
        picture.save(path, "PNG", compress_level=_EFFORT)
    else:
        _drawn(picture).save(path, "PNG", compress_level=_EFFORT, dpi=(picture.dpi, picture.dpi))


def _drawn(figure: Figure) -> Image.Image:
    """A figure as a picture without transparency, which would only take space."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # matplotlib is loaded only to draw

    before = figure.canvas
    canvas: Any = FigureCanvasAgg(figure)
    try:
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    finally:
        figure.set_canvas(before)  # the new one holds the whole picture


def as_picture(values: NDArray[Any]) -> Image.Image:
    """Numbers from 0 to 1, H x W or H x W x 3, as a picture; others are clipped."""
    return Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))


def data_uri(content: bytes, kind: str) -> str:
    """An address that holds the content of a file.

    Args:
        content: The content.
        kind: Its media type, such as ``image/png``.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def thumbnail_uri(picture: Image.Image, side: int) -> str:
    """A picture as a WebP data URI whose longer side has at most the given number of pixels."""
    return data_uri(encoded(thumbnail(picture, side), "WEBP", quality=78), "image/webp")


def thumbnail(picture: Image.Image, side: int) -> Image.Image:
    """The whole picture, its longer side not above ``side`` pixels."""
    small = picture.copy()
    small.thumbnail((side, side))
    return small


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file of a kind that Pillow writes, such as PNG."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
