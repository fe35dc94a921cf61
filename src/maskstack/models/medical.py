"""DICOM and NIfTI files as 8-bit images, through the packages of the extra ``medical``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.errors import InputError, MaskstackError, reason, require
from maskstack.models.levels import Window, joined, page_number, to_bytes

MOST_VALUES = 1_000_000_000
"""Largest number of values of a volume, which is turned as a whole."""

NIFTI, DICOM = (".nii", ".nii.gz"), (".dcm", ".dicom")
"""Endings of medical files."""

Check = Callable[[tuple[int, int]], None]
"""Checks a width and height before the pixels are decoded."""


def reader_of(path: Path) -> Callable[..., tuple[Image.Image, str]] | None:
    """The reader of a medical file, by its name or its first bytes; None for other files."""
    name = path.name.lower()
    if name.endswith(NIFTI):
        return read_nifti
    if name.endswith(DICOM):
        return read_dicom
    try:
        with path.open("rb") as file:
            return read_dicom if file.read(132)[128:] == b"DICM" else None
    except OSError:
        return None


def read_dicom(
    path: Path, *, page: int | None = None, window: Window | None = None, check: Check
) -> tuple[Image.Image, str]:
    """An image of a DICOM file and how its values were shown.

    Values are first converted by the file's slope and intercept. The window is the given one, or that of the file, or
    the file's own table of grey values (VOI LUT); see :func:`maskstack.models.levels.to_bytes` where there is none.
    MONOCHROME1 is inverted.

    Args:
        path: The file.
        page: Frame, from 0; the first by default.
        window: Centre and width, in the unit of the values, such as Hounsfield units.
        check: Checks the size before the pixels are decoded.

    Raises:
        InputError: The file is damaged, has no image, or has a compression for which a package is missing; or a window
            was given for colours.
        MissingExtraError: pydicom is not installed.
    """
    pydicom = require("pydicom", extra="medical")
    pixels = require("pydicom.pixels", extra="medical")
    try:
        file = pydicom.dcmread(path, force=True)
        if file.preamble is None and "Rows" not in file:
            raise InputError(f"{path} is named as a DICOM file, but is not one; give it the ending of its format")
        size = int(file.get("Columns", 0)), int(file.get("Rows", 0))
        if "PixelData" not in file or not all(size):
            raise InputError(f"{path} is a DICOM file without an image; give one with pixel data")
        check(size)
        frame, said = page_number(page, int(file.get("NumberOfFrames", 1) or 1), what="frame")
        _complete(file, frame)
        stored: NDArray[Any] = pixels.pixel_array(file, index=frame)
        colours = _colours(file, stored)
        if colours is not None and window is not None:
            raise InputError(f"a window was given for the colours of {path}; give one for grey images only")
        grey, levels = (colours, "") if colours is not None else _grey(file, stored, window)
        return Image.fromarray(grey), joined(said, levels)
    except MaskstackError:
        raise
    # pydicom raises many types of error for damaged files and for compressions without a decoder.
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as DICOM ({reason(error)}); get a complete, uncompressed copy"
        ) from error


def _complete(file: Any, frame: int) -> None:
    """Fill in how the elements are written, where a header is missing, and what functional groups say of a frame."""
    uid = require("pydicom.uid", extra="medical")
    if "TransferSyntaxUID" not in file.file_meta:
        implicit, little = file.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        file.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    for sequence, place in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        groups = file.get(sequence) or []
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if place < len(groups) and groups[place].get(name):
                file.update(groups[place].get(name)[0])


def _colours(file: Any, stored: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The colours of an image, H x W x 3; None if it is grey."""
    if int(file.get("SamplesPerPixel", 1)) == 3:
        # pydicom has converted YBR to RGB.
        return stored if stored.dtype == np.uint8 else to_bytes(stored)[0]
    if str(file.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
        colours = require("pydicom.pixels", extra="medical").apply_color_lut(stored, file)
        return np.asarray(colours >> (8 * (colours.dtype.itemsize - 1))).astype(np.uint8)
    return None


def _grey(file: Any, stored: NDArray[Any], window: Window | None) -> tuple[NDArray[np.uint8], str]:
    """The grey values of an image as 8 bits, H x W, and how they were shown."""
    pixels = require("pydicom.pixels", extra="medical")
    outside = _outside(file, stored)
    if outside.any():  # it would take the contrast of the rest
        stored = np.where(outside, stored[~outside].min(), stored)
    values: NDArray[Any] = pixels.apply_modality_lut(stored, file)
    own = window or _file_window(file)
    source, depth = "", None
    if window is None and own is not None and str(file.get("VOILUTFunction", "")) == "SIGMOID":
        values = (1 + np.tanh(2 * (values - own[0]) / own[1])) / 2  # the sigmoid of DICOM PS3.3, C.11.2.1.3.1
        source, own = f"by the file's own S-shaped window {own[0]:g}/{own[1]:g}, ", None
    elif own is not None:
        source = "" if window is not None else "by the file's own window, "
    elif file.get("VOILUTSequence"):
        values, depth = pixels.apply_voi(values, file), int(file.VOILUTSequence[0].LUTDescriptor[2])
        source = "by the file's own table (VOI LUT), "
    elif np.array_equal(values, np.rint(values)):
        depth = _depth(file) if np.array_equal(values, stored) else None
        values = values.astype(np.int64)
    inverted = str(file.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    grey, levels = to_bytes(values, window=own, inverted=inverted, bits=depth)
    grey[outside] = 0
    return grey, source + (levels or "values are shown from black to white" if source else levels)


def _outside(file: Any, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pixels the file marks as outside of the scan (pixel padding); none where that would be all."""
    padding = file.get("PixelPaddingValue")
    if padding is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = sorted((int(padding), int(file.get("PixelPaddingRangeLimit", padding))))
    found = (stored >= ends[0]) & (stored <= ends[1])
    return found & ~found.all()


def _depth(file: Any) -> int | None:
    """Number of bits of the values, without their sign; None if the file only says the size of its numbers."""
    stored, allocated = int(file.get("BitsStored", 0)), int(file.get("BitsAllocated", 0))
    return stored - int(file.get("PixelRepresentation", 0)) if 1 < stored < allocated else None


def _file_window(file: Any) -> Window | None:
    centre, width = (_first(file.get(key)) for key in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not width > 0:
        return None
    return centre, width


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    values = [value] if isinstance(value, str | int | float) else list(value)
    return float(values[0]) if values else None


def read_nifti(
    path: Path, *, page: int | None = None, window: Window | None = None, check: Check
) -> tuple[Image.Image, str]:
    """A slice of a NIfTI file and how its values were shown.

    The volume is turned to its canonical orientation, and a slice is one across its last axis: axial, front up.

    Args:
        path: The file.
        page: Slice, from 0; the middle one by default.
        window: Centre and width, in the unit of the values.
        check: Checks the size before the values are read.

    Raises:
        InputError: The file is damaged, or is not an image of two or three dimensions.
        MissingExtraError: nibabel is not installed.
    """
    nibabel = require("nibabel", extra="medical")
    try:
        volume = nibabel.load(path)
        if np.prod(volume.shape, dtype=np.float64) > MOST_VALUES:
            raise InputError(f"{path} has more than {MOST_VALUES} values; give a smaller part of it")
        volume = nibabel.as_closest_canonical(volume)
        shape = tuple(volume.shape)
        while len(shape) > 2 and shape[-1] == 1:
            shape = shape[:-1]
        if not 2 <= len(shape) <= 3:
            raise InputError(f"{path} has {' x '.join(map(str, shape))} values; give a file of two or three dimensions")
        check((shape[0], shape[1]))
        depth = shape[2] if len(shape) == 3 else 1
        place, said = page_number(page, depth, default=depth // 2, what="slice")
        flat = (place, *(0,) * (len(volume.shape) - 3)) if len(volume.shape) > 2 else ()
        values = np.asarray(volume.dataobj[(slice(None), slice(None), *flat)])
        if np.issubdtype(values.dtype, np.floating) and np.array_equal(values, np.rint(values)):
            values = values.astype(np.int64)
        grey, levels = to_bytes(np.rot90(values), window=window)
        return Image.fromarray(np.ascontiguousarray(grey)), joined(said, levels)
    except MaskstackError:
        raise
    # nibabel raises many types of error for damaged files.
    except Exception as error:
        raise InputError(f"{path} cannot be read as NIfTI ({reason(error)}); get a complete copy") from error
