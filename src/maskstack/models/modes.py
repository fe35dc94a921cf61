"""Every kind of picture Pillow knows, as upright 8-bit RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from maskstack.errors import InputError

SIXTEEN_BITS = 65535


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture upright, as its EXIF orientation says, and convert it to 8-bit RGB.

    Transparency is laid on white, as most pictures with it are drawn for a white page. Sixteen bits are
    scaled by their whole range, 65535 to 255, never clipped. Pictures of 32-bit integers count as 16-bit if
    their values fit, and pictures of floats as 0..1 or 0..255 if theirs do; other values are stretched from
    the lowest to the highest.

    Raises:
        InputError: The picture holds NaN or infinite values, or is of a mode Pillow cannot convert.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_to_bytes(image)).convert("RGB")
    try:
        if image.has_transparency_data:
            return _on_white(image)
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise InputError(f"a picture of mode {image.mode} cannot be converted to RGB; save it as RGB") from error


def _on_white(image: Image.Image) -> Image.Image:
    # Pillow knows one way only out of La, grey multiplied by its transparency.
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("RGB")


def _to_bytes(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("the picture holds NaN or infinite values; replace them first")
    low, high = float(values.min()), float(values.max())
    floats = image.mode == "F"
    if low < 0 or high > (255 if floats else SIXTEEN_BITS):
        start, span = low, max(high - low, 1e-12)
    else:
        start, span = 0.0, float((1 if high <= 1 else 255) if floats else SIXTEEN_BITS)
    return np.rint((values - start) / span * 255).astype(np.uint8)
