"""Opening a photograph from a file, and converting any image of Pillow to upright 8-bit RGB."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from maskstack.errors import InputError, reason

SMALLEST_SIDE = 8
"""Least number of pixels of the shorter side; a smaller image has no regions to distinguish."""

SIXTEEN_BITS = 65535

_RUNS_A_PROGRAM = frozenset({"EPS"})  # Pillow hands these files to Ghostscript.


def open_photo(path: str | Path, *, max_pixels: int = 80_000_000) -> Image.Image:
    """Open an image file as an upright RGB image.

    Args:
        path: File of any format that Pillow reads, except EPS.
        max_pixels: Largest width x height. It is checked before the pixels are decoded.

    Returns:
        RGB image, see :func:`to_rgb`; the first frame of an animation.

    Raises:
        InputError: The file is missing, empty, damaged, too large, a folder or not an image, or a side is shorter than
            8 pixels.
    """
    path = Path(path)
    _check_file(path)
    with warnings.catch_warnings():
        # Pillow only warns at its first limit; max_pixels takes its place.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return _read(path, max_pixels)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an image file")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise InputError(f"{path} is not an ordinary file; give an image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; give an image file")


def _read(path: Path, max_pixels: int) -> Image.Image:
    Image.init()
    formats = [name for name in Image.ID if name not in _RUNS_A_PROGRAM]
    try:
        with Image.open(path, formats=formats) as image:
            _check_size(path, image.size, max_pixels)
            image.load()
            return to_rgb(image)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that Pillow can read; save it as JPEG or PNG") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is larger than Pillow allows; resize it first") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read; change its permissions") from error
    # Pillow's decoders raise many types of error for a damaged file, from SyntaxError to struct.error.
    except Exception as error:
        raise InputError(f"{path} is damaged and cannot be read ({reason(error)}); get a complete copy") from error


def _check_size(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(f"{path} has {width} x {height} pixels, more than the limit of {max_pixels}; resize it first")
    if min(size) < SMALLEST_SIDE:
        raise InputError(f"{path} has {width} x {height} pixels; the shorter side must have at least {SMALLEST_SIDE}")


def to_rgb(image: Image.Image) -> Image.Image:
    """Rotate an image upright by its EXIF orientation and convert it to 8-bit RGB.

    Transparent images are put on a white background, because most are made for one. 16-bit values are divided by
    their full range, so that 65535 becomes 255, and never clipped. 32-bit integers are treated as 16-bit values if all
    are in that range, and floats as 0..1 or 0..255 if all are in one of these ranges. Otherwise, the lowest value
    becomes black and the highest white.

    Raises:
        InputError: The image has NaN or infinite values, or a mode that Pillow cannot convert.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_to_bytes(image)).convert("RGB")
    try:
        if image.has_transparency_data:
            return _on_white(image)
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise InputError(f"an image of mode {image.mode} cannot be converted to RGB; save it as RGB") from error


def _on_white(image: Image.Image) -> Image.Image:
    # Pillow converts La, which is grey multiplied by its transparency, to LA only.
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("RGB")


def _to_bytes(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("the image has NaN or infinite values; replace them first")
    low, high = float(values.min()), float(values.max())
    floats = image.mode == "F"
    if low < 0 or high > (255 if floats else SIXTEEN_BITS):
        start, span = low, max(high - low, 1e-12)
    else:
        start, span = 0.0, float((1 if high <= 1 else 255) if floats else SIXTEEN_BITS)
    return np.rint((values - start) / span * 255).astype(np.uint8)
