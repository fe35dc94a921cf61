"""A map in the photo's frame as a file: NumPy array, 16-bit PNG or NIfTI."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.checks import one_of
from maskstack.errors import require
from maskstack.files import write_whole

ENDINGS: Mapping[str, str] = {"npy": ".map.npy", "png": ".map.png", "nifti": ".map.nii.gz"}
"""Ending of the file of each kind."""


def check_map_kind(kind: str) -> None:
    """Check that maps can be written as files of a kind.

    Raises:
        InputError: There is no such kind.
        MissingExtraError: The kind is ``nifti``, and nibabel is not installed.
    """
    one_of("the kind of map", kind, ENDINGS)
    if kind == "nifti":
        require("nibabel", extra="nifti")


def write_map(path: Path, values: NDArray[np.float32], kind: str) -> Path:
    """Write a map, whole or not at all.

    ``npy`` holds float32 values, rows first. ``png`` holds 16-bit grey values, 65535 for 1. ``nifti`` holds float32
    values with the axes x, y and one slice, and a voxel size of 1 mm, as a photo has none.

    Args:
        path: Path of the file.
        values: The map, H x W in [0, 1].
        kind: ``npy``, ``png`` or ``nifti``.

    Raises:
        InputError: There is no such kind.
        MissingExtraError: The kind is ``nifti``, and nibabel is not installed.
        OutputError: The file cannot be written.
    """
    check_map_kind(kind)
    if kind == "npy":
        return write_whole(path, lambda file: _save_array(file, values))
    if kind == "png":
        levels = (np.clip(values, 0, 1) * 65535).round().astype(np.uint16)
        return write_whole(path, lambda file: Image.fromarray(levels).save(file))
    nibabel: Any = require("nibabel", extra="nifti")
    image = nibabel.Nifti1Image(np.ascontiguousarray(values.T[..., None], np.float32), np.diag([-1.0, -1.0, 1.0, 1.0]))
    return write_whole(path, lambda file: save_packed(file, image.to_bytes()))


def _save_array(file: Path, values: NDArray[np.float32]) -> None:
    with file.open("wb") as opened:
        np.save(opened, values.astype(np.float32), allow_pickle=False)


def save_packed(file: Path, content: bytes) -> None:
    """Write gzip-compressed content, the same bytes at each time."""
    with file.open("wb") as opened, gzip.GzipFile(fileobj=opened, mode="wb", mtime=0) as packed:
        packed.write(content)
