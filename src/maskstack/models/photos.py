"""Opening a photograph from a file, and converting any image of Pillow to upright 8-bit RGB."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from maskstack.errors import InputError, reason

SMALLEST_SIDE = 8
"""Least number of pixels of the shorter side; a smaller image has no regions to distinguish."""

MOST_PIXELS = 80_000_000
"""Largest width x height. An image takes at most 12 bytes of memory for each pixel while it is opened."""

SIXTEEN_BITS = 65535

_BAND = 2**22  # Pixels that are converted at once: the memory for the conversion does not grow with the image.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

_SAYS_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")

_RUNS_A_PROGRAM = frozenset({"EPS"})  # Pillow hands these files to Ghostscript.


def open_photo(path: str | Path, *, max_pixels: int = MOST_PIXELS) -> Image.Image:
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
        # Pillow only warns at its first limit. Some formats hold an image of another size than they declare, so the
        # warning is an error, unless max_pixels allows more.
        too_large = max_pixels <= (Image.MAX_IMAGE_PIXELS or 0)
        warnings.simplefilter("error" if too_large else "ignore", Image.DecompressionBombWarning)
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


def open_image(source: Path | IO[bytes]) -> Image.Image:
    """Open an image with Pillow, without the formats that Pillow hands to another program; nothing is decoded yet."""
    Image.init()
    return Image.open(source, formats=[name for name in Image.ID if name not in _RUNS_A_PROGRAM])


def _read(path: Path, max_pixels: int) -> Image.Image:
    try:
        with open_image(path) as image:
            check_size(path, image.size, max_pixels)
            _check_tiles(path, image, max_pixels)
            image.load()
            check_size(path, image.size, max_pixels)
            return to_rgb(image)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that Pillow can read; save it as JPEG or PNG") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path} is larger than Pillow allows; resize it first") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read; change its permissions") from error
    # Pillow's decoders raise many types of error for a damaged file, from SyntaxError to struct.error.
    except Exception as error:
        raise InputError(f"{path} is damaged and cannot be read ({reason(error)}); get a complete copy") from error


def check_size(path: Path | str, size: tuple[int, int], max_pixels: int = MOST_PIXELS) -> None:
    """Check the size of an image, before its pixels are decoded.

    Raises:
        InputError: It has too many pixels, or a side is too short.
    """
    width, height = size
    if width * height > max_pixels:
        raise InputError(f"{path} has {width} x {height} pixels, more than the limit of {max_pixels}; resize it first")
    if min(size) < SMALLEST_SIDE:
        raise InputError(f"{path} has {width} x {height} pixels; the shorter side must have at least {SMALLEST_SIDE}")


def _check_tiles(path: Path, image: Image.Image, max_pixels: int) -> None:
    """Refuse a TIFF file with tiles much larger than its image, because a whole tile is decoded."""
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(322, 0), tags.get(323, 0)
    if isinstance(width, int) and isinstance(height, int) and width * height > max_pixels:
        raise InputError(f"{path} has tiles of {width} x {height} pixels; save it with smaller tiles")


def to_rgb(image: Image.Image) -> Image.Image:
    """Rotate an image upright by its EXIF orientation and convert it to 8-bit RGB.

    Transparent images are put on a white background, because most are made for one. 16-bit values are divided by
    their full range, so that 65535 becomes 255, and never clipped. 32-bit integers are treated as 16-bit values if all
    are in that range, and floats as 0..1 or 0..255 if all are in one of these ranges. Otherwise, the lowest value
    becomes black and the highest white.

    Raises:
        InputError: The image has NaN or infinite values, or a mode that Pillow cannot convert.
    """
    orientation = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    convert = _conversion(image)
    if convert is None:
        upright = image
    else:
        upright = Image.new("RGB", image.size)
        rows = max(1, _BAND // image.width)
        try:
            for top in range(0, image.height, rows):
                band = image.crop((0, top, image.width, min(top + rows, image.height)))
                upright.paste(convert(band), (0, top))
        except ValueError as error:
            raise InputError(f"an image of mode {image.mode} cannot be converted to RGB; save it as RGB") from error
    if orientation is None:
        return upright
    turned = upright.transpose(orientation)
    for key in _SAYS_ORIENTATION:  # Otherwise the image would be turned again when it is preprocessed.
        turned.info.pop(key, None)
    return turned


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """How a part of the image is converted to RGB; None if it is RGB already."""
    if image.mode == "F" or image.mode.startswith("I"):
        start, span = _value_range(image)
        return lambda band: Image.fromarray(_to_bytes(band, start, span)).convert("RGB")
    if image.has_transparency_data:
        return _on_white
    return None if image.mode == "RGB" else lambda band: band.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    # Pillow converts La, which is grey multiplied by its transparency, to LA only.
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("RGB")


def _value_range(image: Image.Image) -> tuple[float, float]:
    """The value that becomes black, and the difference to the one that becomes white."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("the image has NaN or infinite values; replace them first")
    floats = image.mode == "F"
    if low < 0 or high > (255 if floats else SIXTEEN_BITS):
        return low, max(high - low, 1e-12)
    return 0.0, float((1 if high <= 1 else 255) if floats else SIXTEEN_BITS)


def _to_bytes(image: Image.Image, start: float, span: float) -> NDArray[np.uint8]:
    values = np.asarray(image).astype(np.float64)
    return np.rint((values - start) / span * 255).astype(np.uint8)
