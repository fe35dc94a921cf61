"""Opening a photograph from a file, and converting any image of Pillow to upright 8-bit RGB."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from maskstack.errors import InputError, MissingExtraError, reason
from maskstack.models.levels import Window, joined, page_number, read_window, to_bytes
from maskstack.models.medical import reader_of

SMALLEST_SIDE = 8
"""Least number of pixels of the shorter side; a smaller image has no regions to distinguish."""

_SAID = "maskstack"
_WHITE_IS_ZERO = 262  # The tag PhotometricInterpretation of TIFF, whose value 0 means this.
_OF_ONE_PHOTO = frozenset({"MPO"})  # A photo and its previews or depth.

_RUNS_A_PROGRAM = frozenset({"EPS"})  # Pillow hands these files to Ghostscript.


def open_photo(
    path: str | Path, *, max_pixels: int = 80_000_000, page: int | None = None, window: str | Window | None = None
) -> Image.Image:
    """Open an image file as an upright RGB image.

    Args:
        path: File of any format that Pillow reads, except EPS; with the extra ``medical``, DICOM or NIfTI.
        max_pixels: Largest width x height. It is checked before the pixels are decoded.
        page: Page, frame or slice, from 0; by default the first one, and of a volume the middle one.
        window: Centre and width of the grey values that are shown, such as ``40/400``; by default those of the file, or
            all, see :func:`maskstack.models.levels.to_bytes`.

    Returns:
        RGB image, see :func:`to_rgb`; :func:`said_of` says what was chosen.

    Raises:
        InputError: The file is missing, empty, damaged, too large, a folder or not an image, a side is shorter than 8
            pixels, or there is no such page.
        MissingExtraError: The package for a medical file is not installed.
    """
    path = Path(path)
    _check_file(path)
    shown = None if window is None else read_window(window)
    with warnings.catch_warnings():
        # Pillow only warns at its first limit; max_pixels takes its place.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return _read(path, max_pixels, page, shown)


def said_of(image: Image.Image) -> str:
    """What was decided when a file was opened: its page, and which values are black and white; empty if nothing was."""
    return str(image.info.get(_SAID, ""))


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an image file")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise InputError(f"{path} is not an ordinary file; give an image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; give an image file")


def _read(path: Path, max_pixels: int, page: int | None, window: Window | None) -> Image.Image:
    Image.init()
    formats = [name for name in Image.ID if name not in _RUNS_A_PROGRAM]
    medical = reader_of(path)
    try:
        if medical is not None:
            image, said = medical(
                path, page=page, window=window, check=lambda size: _check_size(path, size, max_pixels)
            )
            return _with_said(image.convert("RGB"), said)
        with Image.open(path, formats=formats) as image:
            pages = 1 if image.format in _OF_ONE_PHOTO else getattr(image, "n_frames", 1)
            chosen, said = page_number(page, pages)
            if chosen:
                image.seek(chosen)
            _check_size(path, image.size, max_pixels)
            image.load()
            rgb = to_rgb(image, window=window)
            return _with_said(rgb, joined(said, said_of(rgb)))
    except MissingExtraError:
        raise
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


def to_rgb(image: Image.Image, *, window: Window | None = None) -> Image.Image:
    """Rotate an image upright by its EXIF orientation and convert it to 8-bit RGB.

    Transparent images are put on a white background, because most are made for one. Grey values of more than 8 bits are
    converted as :func:`maskstack.models.levels.to_bytes` says, and are never clipped without a window; those of a TIFF
    file in which 0 is white are inverted.

    Args:
        image: Image of any mode.
        window: Centre and width of the grey values that are shown.

    Raises:
        InputError: The image has NaN or infinite values, or a mode that Pillow cannot convert.
    """
    inverted = getattr(image, "tag_v2", {}).get(_WHITE_IS_ZERO) == 0
    said = said_of(image)
    image = ImageOps.exif_transpose(image)
    deep = image.mode == "F" or image.mode.startswith("I")
    if deep or (window is not None and image.mode == "L"):
        # Pillow itself inverts images of 8 bits.
        grey, levels = to_bytes(np.asarray(image), window=window, inverted=inverted and deep)
        return _with_said(Image.fromarray(grey).convert("RGB"), joined(said, levels))
    if window is not None:
        raise InputError(f"a window was given for an image of mode {image.mode}; give one for grey images only")
    try:
        if image.has_transparency_data:
            return _on_white(image)
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise InputError(f"an image of mode {image.mode} cannot be converted to RGB; save it as RGB") from error


def _with_said(image: Image.Image, said: str) -> Image.Image:
    if said:
        image.info[_SAID] = said
    return image


def _on_white(image: Image.Image) -> Image.Image:
    # Pillow converts La, which is grey multiplied by its transparency, to LA only.
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("RGB")
