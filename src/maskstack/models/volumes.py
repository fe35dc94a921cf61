"""Volumes from NIfTI files and multi-page images as the input of three-dimensional networks, and maps back as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError, MaskstackError, reason, require
from maskstack.models.levels import Levels, Window, levels_of
from maskstack.models.medical import MOST_VALUES
from maskstack.models.photos import check_file, open_image
from maskstack.models.spec import read_size, whole_number

ENDINGS = (".nii", ".nii.gz", ".tif", ".tiff", ".gif", ".webp")
"""Endings of files that can hold a volume or a clip."""


@dataclass(frozen=True, eq=False)
class Volume:
    """The values of a file, and what is needed to write a map of the same geometry.

    Attributes:
        values: C x D x H x W: slices in rising order, and rows from the top as they are shown.
        levels: Which values are shown black and white.
        source: The NIfTI image; None for other files.
    """

    values: NDArray[np.float32]
    levels: Levels
    source: Any = None

    def pictures(self) -> list[Image.Image]:
        """Each slice of the first channel as an 8-bit RGB picture."""
        return [Image.fromarray(grey).convert("RGB") for grey in self.levels.apply(self.values[0])]

    def as_nifti(self, saliency: NDArray[np.float32]) -> Any:
        """A map D x H x W as a NIfTI image with the axes, the spacing and the position of the file.

        Raises:
            MissingExtraError: nibabel is not installed.
        """
        nibabel = require("nibabel", extra="medical")
        # From rows that begin at the top to the axes x, y, z.
        turned = np.ascontiguousarray(saliency[:, ::-1].transpose(2, 1, 0), dtype=np.float32)
        if self.source is None:
            return nibabel.Nifti1Image(turned, np.eye(4))
        own = nibabel.orientations.io_orientation(self.source.affine)
        back = nibabel.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], own)
        values = nibabel.orientations.apply_orientation(turned, back)
        image = nibabel.Nifti1Image(np.ascontiguousarray(values), self.source.affine)
        image.header.set_xyzt_units(*self.source.header.get_xyzt_units())
        return image


@dataclass(frozen=True)
class VolumePreprocess:
    """From a file to the input of a network that takes volumes.

    Attributes:
        channels: Number of channels.
        depth: Slices of the network's input; None for those of the file.
        size: Height and width of the network's input; None for those of the file.
        mean: Mean that is subtracted; from the file's own values, or from 0..1 where a window is given.
        std: Standard deviation by which the result is divided. Without mean and std, values are scaled to 0..1.
    """

    channels: int = 1
    depth: int | None = None
    size: tuple[int, int] | None = None
    mean: float | None = None
    std: float | None = None

    def __call__(self, volume: Volume, *, window: bool = False) -> Tensor:
        """The network's input, C x D x H x W, float32.

        Args:
            volume: The file's values.
            window: Whether a window was given.

        Raises:
            InputError: The file has another number of channels, or a photo was given.
        """
        if not isinstance(volume, Volume):
            raise InputError("this network takes volumes; give tensors B x C x D x H x W, or use 'maskstack explain'")
        channels = len(volume.values)
        if channels != self.channels:
            raise InputError(
                f"the file has {channels} channel{'' if channels == 1 else 's'}, but the network takes "
                f"{self.channels}; set channels={channels}, or give another file"
            )
        values = torch.from_numpy(volume.values)
        if window or self.mean is None:
            start, end = volume.levels.start, volume.levels.end
            values = ((values - start) / (end - start)).clamp(0, 1)
        values = (values - (self.mean or 0.0)) / (self.std or 1.0)
        height, width = self.size or tuple(values.shape[2:])
        size = (self.depth or values.shape[1], height, width)
        if tuple(values.shape[1:]) == size:
            return values.contiguous()
        return functional.interpolate(values.unsqueeze(0), size=size, mode="trilinear")[0]


def volume_preprocess(options: Mapping[str, str]) -> VolumePreprocess:
    """The preprocessing that the keys of a spec describe.

    Raises:
        InputError: A value cannot be read.
    """
    for key in options.keys() & {"crop", "norm"}:
        raise InputError(f"{key} is for photos; a volume takes depth, size, channels, mean and std")
    numbers: dict[str, float] = {}
    for key in ("mean", "std"):
        try:
            if key in options:
                numbers[key] = float(options[key])
        except ValueError as error:
            raise InputError(f"{key}={options[key]} is not a number; a volume takes one for all channels") from error
    if len(numbers) == 1 or numbers.get("std") == 0:
        raise InputError("give both mean and std, and a std other than 0; without both, values are scaled to 0..1")
    return VolumePreprocess(
        channels=whole_number("channels", options.get("channels", "1")),
        depth=whole_number("depth", options["depth"]) if "depth" in options else None,
        size=read_size(options["size"]) if "size" in options else None,
        **numbers,
    )


def open_volume(path: str | Path, *, window: Window | None = None) -> Volume:
    """Read a NIfTI file (x, y, z, or x, y, z, channel), or the pages of a TIFF, GIF or WebP file as slices.

    A NIfTI volume is turned to its canonical orientation, and its slices are axial, front up.

    Args:
        path: The file.
        window: Centre and width of the values, such as (40, 400).

    Raises:
        InputError: The file is damaged, too large, or not a volume.
        MissingExtraError: nibabel is not installed.
    """
    path = Path(path)
    check_file(path)
    try:
        values, source = _nifti(path) if path.name.lower().endswith((".nii", ".nii.gz")) else (_pages(path), None)
        if not np.isfinite(values).all():
            raise InputError(f"{path} has NaN or infinite values; replace them first")
        whole = np.array_equal(values, np.rint(values))
        levels = levels_of(values.astype(np.int64) if whole else values, window=window)
        return Volume(np.ascontiguousarray(values, dtype=np.float32), levels, source)
    except MaskstackError:
        raise
    # nibabel and Pillow raise many types of error for damaged files.
    except Exception as error:
        raise InputError(f"{path} cannot be read as a volume ({reason(error)}); get a complete copy") from error


def _nifti(path: Path) -> tuple[NDArray[Any], Any]:
    nibabel = require("nibabel", extra="medical")
    source = nibabel.load(path)
    _check_count(path, source.shape)
    shape = tuple(source.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if not 3 <= len(shape) <= 4 or min(shape[:3]) < 2:
        raise InputError(f"{path} has {' x '.join(map(str, shape))} values; a volume has at least 2 along x, y and z")
    values = np.asarray(nibabel.as_closest_canonical(source).dataobj).reshape(*_turned(source, shape))
    channels = values[..., None] if values.ndim == 3 else values
    return channels.transpose(3, 2, 1, 0)[:, :, ::-1], source


def _turned(source: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape after the turn to the canonical orientation."""
    nibabel = require("nibabel", extra="medical")
    axes = nibabel.orientations.io_orientation(source.affine)[:, 0].astype(int)
    first = [shape[int(np.flatnonzero(axes == axis)[0])] for axis in range(3)]
    return (*first, *shape[3:])


def _pages(path: Path) -> NDArray[Any]:
    with open_image(path) as image:
        count = getattr(image, "n_frames", 1)
        if count < 2:
            raise InputError(f"{path} has one page, which is not a volume; give a file with several pages, or NIfTI")
        _check_count(path, (count, image.height, image.width))
        pages = []
        for page in range(count):
            image.seek(page)
            pages.append(np.asarray(image if image.mode[0] in "IFL" else image.convert("RGB")))
    if len({page.shape for page in pages}) > 1:
        raise InputError(f"{path} has pages of several sizes; a volume needs slices of one size")
    values = np.stack(pages)
    return values[None] if values.ndim == 3 else values.transpose(3, 0, 1, 2)


def _check_count(path: Path, shape: tuple[int, ...]) -> None:
    if np.prod(shape, dtype=np.float64) > MOST_VALUES:
        raise InputError(f"{path} has more than {MOST_VALUES} values; give a smaller part of it")


def is_volume_file(file: str) -> bool:
    """Whether a file's name says that it can hold a volume."""
    return file.lower().endswith(ENDINGS)
