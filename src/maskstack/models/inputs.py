"""Photos and file names as the network's input, each with its geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError, a_type
from maskstack.geometry import Geometry
from maskstack.models.photos import check_size, open_photo, to_rgb
from maskstack.models.tracing import Box, traced_box

Photo = Image.Image | str | Path
"""A PIL image, or the name of an image file."""


@runtime_checkable
class HasBox(Protocol):
    """A preprocessing that knows which part of a photo it keeps."""

    def box(self, size: tuple[int, int]) -> Box | None:
        """Left, top, right and bottom in pixels of an upright photo of a width and height."""


def upright(photo: Photo) -> Image.Image:
    """The photo as an upright RGB image, see :func:`maskstack.models.photos.to_rgb`.

    Raises:
        InputError: It cannot be read or converted, or it is too large or too small.
    """
    if isinstance(photo, str | Path):
        return open_photo(photo)
    if not isinstance(photo, Image.Image):
        raise InputError(f"a photo is {a_type(photo)}; give a PIL image, a file name or a tensor of images")
    check_size("the photo", photo.size)
    return to_rgb(photo)


def prepared(
    photos: Photo | Sequence[Photo], preprocess: Callable[[Image.Image], Tensor]
) -> tuple[Tensor, tuple[Geometry | None, ...]]:
    """The network's input for photos, B x C x H x W, and the geometry of each.

    Args:
        photos: A PIL image, a file name, or a list of them.
        preprocess: From a PIL image to C x H x W.

    Raises:
        InputError: There is no photo, or one cannot be read.
    """
    several = [photos] if isinstance(photos, str | Path | Image.Image) else list(photos)
    if not several:
        raise InputError("there is no photo to explain; give at least one")
    images, places = [], []
    for each in several:
        photo = upright(each)
        images.append(preprocess(photo))
        places.append(geometry_of(preprocess, photo.size, (images[-1].shape[-2], images[-1].shape[-1])))
    return torch.stack(images), tuple(places)


def geometry_of(
    preprocess: Callable[[Image.Image], Tensor], photo: tuple[int, int], size: tuple[int, int]
) -> Geometry | None:
    """Where the network's input lies in a photo; None if the preprocessing turns or bends it, or cannot be measured.

    A preprocessing that has a method ``box``, as :class:`maskstack.models.Preprocess` does, is asked; any other is
    measured once for each size of a photo.

    Args:
        preprocess: From a PIL image to C x H x W.
        photo: Width and height of the upright photo.
        size: Height and width of the network's input.
    """
    try:
        box = preprocess.box(photo) if isinstance(preprocess, HasBox) else _measured(preprocess, photo)
        return None if box is None else Geometry((photo[1], photo[0]), size, box)
    except InputError:
        return None


def _measured(preprocess: Callable[[Image.Image], Tensor], photo: tuple[int, int]) -> Box | None:
    try:
        return _traced(preprocess, photo)
    except TypeError:  # The preprocessing cannot be hashed.
        return traced_box(preprocess, photo)


_traced = lru_cache(32)(traced_box)
