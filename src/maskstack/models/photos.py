"""Opening a photograph from a file, and converting any image of Pillow to upright 8-bit RGB."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from maskstack.errors import InputError, MissingExtraError, reason
from maskstack.models.levels import Window, joined, levels_of, page_number, read_window
from maskstack.models.medical import reader_of

SMALLEST_SIDE = 8
"""Least number of pixels of the shorter side; a smaller image has no regions to distinguish."""

MOST_PIXELS = 80_000_000
"""Largest width x height. An image takes at most 12 bytes of memory for each pixel while it is opened."""

_SAID = "maskstack"
_WHITE_IS_ZERO = 262  # The tag PhotometricInterpretation of TIFF, whose value 0 means this.
_BITS = 258  # The tag BitsPerSample.
_PLANES = 284  # The tag PlanarConfiguration, whose value 2 means one plane for each colour.
_COLOURS = frozenset({"RGB", "RGBA", "RGBX", "LA", "CMYK"})
_OF_ONE_PHOTO = frozenset({"MPO"})  # A photo and its previews or depth.

_BAND = 2**22  # Pixels that are converted at once: the memory for the conversion does not grow with the image.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

_SAYS_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")

_RUNS_A_PROGRAM = frozenset({"EPS"})  # Pillow hands these files to Ghostscript.


def open_photo(
    path: str | Path, *, max_pixels: int = MOST_PIXELS, page: int | None = None, window: str | Window | None = None
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
    check_file(path)
    shown = None if window is None else read_window(window)
    with warnings.catch_warnings():
        # Pillow only warns at its first limit. Some formats hold an image of another size than they declare, so the
        # warning is an error, unless max_pixels allows more.
        too_large = max_pixels <= (Image.MAX_IMAGE_PIXELS or 0)
        warnings.simplefilter("error" if too_large else "ignore", Image.DecompressionBombWarning)
        return _read(path, max_pixels, page, shown)


def said_of(image: Image.Image) -> str:
    """What was decided when a file was opened: its page, and which values are black and white; empty if nothing was."""
    return str(image.info.get(_SAID, ""))


def check_file(path: Path) -> None:
    """Check that a path is an ordinary file with content.

    Raises:
        InputError: It is missing, empty or a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an image file")
    if not path.exists():
        if path.parts and path.parts[0].lower() in ("http:", "https:"):
            raise InputError(
                f"{path.parts[0]}//{Path(*path.parts[1:])} is an address; save the photo and give its file"
            )
        raise InputError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise InputError(f"{path} is not an ordinary file; give an image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; give an image file")


def open_image(source: Path | IO[bytes]) -> ImageFile.ImageFile:
    """Open an image with Pillow, without the formats that Pillow hands to another program; nothing is decoded yet."""
    Image.init()
    image = Image.open(source, formats=[name for name in Image.ID if name not in _RUNS_A_PROGRAM])
    if image.format == "TIFF":
        # Pillow maps an uncompressed file that it knows by its name into memory, with width and height exchanged if the
        # orientation turns it by 90 degrees, so that its rows would be mixed.
        image.filename = ""
    return image


def _read(path: Path, max_pixels: int, page: int | None, window: Window | None) -> Image.Image:
    medical = reader_of(path)
    try:
        if medical is not None:
            image, said = medical(path, page=page, window=window, check=lambda size: check_size(path, size, max_pixels))
            return _with_said(image.convert("RGB"), said)
        with open_image(path) as image:
            pages = 1 if image.format in _OF_ONE_PHOTO else getattr(image, "n_frames", 1)
            chosen, said = page_number(page, pages)
            # The first page is checked too, as some formats decode all pages before a later one.
            check_size(path, image.size, max_pixels)
            if chosen:
                image.seek(chosen)
            check_size(path, image.size, max_pixels)
            _check_tiff(path, image, max_pixels)
            deep = ";16" in str([tile.args for tile in image.tile])
            image.load()
            check_size(path, image.size, max_pixels)
            rgb = to_rgb(image, window=window)
            dark = _dark_colours(rgb) if deep and image.mode in _COLOURS else ""
            return _with_said(rgb, joined(said, said_of(rgb), dark))
    except MissingExtraError:
        raise
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


def _check_tiff(path: Path, image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Refuse a TIFF file with tiles much larger than its image, because a whole tile is decoded, and deep planes."""
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(322, 0), tags.get(323, 0)
    if isinstance(width, int) and isinstance(height, int) and width * height > max_pixels:
        raise InputError(f"{path} has tiles of {width} x {height} pixels; save it with smaller tiles")
    raw = any(tile.codec_name == "raw" for tile in image.tile)
    if raw and tags.get(_PLANES) == 2 and image.mode in _COLOURS and max(tags.get(_BITS, (8,))) > 8:
        raise InputError(
            f"{path} has a plane of 16 bits for each colour, which Pillow misreads; compress it, or save 8 bits"
        )


def _dark_colours(image: Image.Image) -> str:
    """A sentence about colours of 16 bits that use few of them, as Pillow keeps the upper 8; empty for others."""
    highest = int(np.max(image.getextrema()))
    if highest >= 64:
        return ""
    return (
        f"colours of 16 bits are shown by their upper 8 bits, and the highest is {highest} of 255; if the file holds "
        "fewer bits, scale them to the full range"
    )


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
    orientation = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    convert, said = _conversion(image, window)
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
    turned = upright if orientation is None else upright.transpose(orientation)
    for key in _SAYS_ORIENTATION if orientation is not None else ():
        turned.info.pop(key, None)  # Otherwise the image would be turned again when it is preprocessed.
    return _with_said(turned, joined(said_of(image), said) if said else said_of(image))


def _conversion(image: Image.Image, window: Window | None) -> tuple[Callable[[Image.Image], Image.Image] | None, str]:
    """How a part of the image is converted to RGB, None if it is RGB already, and what was decided."""
    deep = image.mode == "F" or image.mode.startswith("I")
    if deep or (window is not None and image.mode == "L"):
        # Pillow itself inverts images of 8 bits.
        inverted = deep and getattr(image, "tag_v2", {}).get(_WHITE_IS_ZERO) == 0
        levels = levels_of(np.asarray(image), window=window, inverted=inverted)
        return lambda band: Image.fromarray(levels.apply(np.asarray(band))).convert("RGB"), levels.said
    if window is not None:
        raise InputError(f"a window was given for an image of mode {image.mode}; give one for grey images only")
    if image.has_transparency_data:
        return _on_white, ""
    return None if image.mode == "RGB" else lambda band: band.convert("RGB"), ""


def _with_said(image: Image.Image, said: str) -> Image.Image:
    if said:
        image.info[_SAID] = said
    return image


def _on_white(image: Image.Image) -> Image.Image:
    # Pillow converts La, which is grey multiplied by its transparency, to LA only.
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("RGB")
