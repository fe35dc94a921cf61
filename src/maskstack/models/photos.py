"""Opening a photograph from a file."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from maskstack.errors import InputError
from maskstack.models.modes import to_rgb
from maskstack.errors import reason

SMALLEST_SIDE = 8
"""Pixels; a picture with a shorter side has no regions to tell apart."""

_RUNS_A_PROGRAM = frozenset({"EPS"})  # Pillow hands these files to Ghostscript.


def open_photo(path: str | Path, *, max_pixels: int = 80_000_000) -> Image.Image:
    """Open a picture as an upright RGB image.

    Args:
        path: File of any picture format Pillow reads, except EPS.
        max_pixels: Largest width x height. It is checked before the pixels are unpacked.

    Returns:
        RGB image, see :func:`maskstack.models.modes.to_rgb`; the first frame of an animation.

    Raises:
        InputError: The file is missing, a folder, empty, no picture, damaged, too large, or has a side under
            8 pixels.
    """
    path = Path(path)
    _check_file(path)
    with warnings.catch_warnings():
        # Our own limit stands in for Pillow's first, which only warns.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return _read(path, max_pixels)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a picture's file")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise InputError(f"{path} is not an ordinary file; give a picture's file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; give a picture's file")


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
        raise InputError(f"{path} is not a picture Pillow can read; save it as JPEG or PNG") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is larger than Pillow opens; make it smaller first") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read; change its permissions") from error
    # Pillow's decoders meet damage with anything from SyntaxError to struct.error.
    except Exception as error:
        raise InputError(f"{path} is damaged and cannot be read ({reason(error)}); get a whole copy of it") from error


def _check_size(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{path} has {width} x {height} pixels, more than the limit of {max_pixels}; make it smaller first"
        )
    if min(size) < SMALLEST_SIDE:
        raise InputError(f"{path} has {width} x {height} pixels; the shorter side must have {SMALLEST_SIDE} at least")
