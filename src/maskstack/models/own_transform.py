"""A library's own preprocessing of a photo, used as it is, and the comparison with ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError, reason
from maskstack.models.photos import to_rgb

SAME = 1e-3
"""Largest mean absolute difference of two preprocessings that are called the same."""

_SIDE = 256
_LONGEST = 8
_OTHER = "use a network whose input is one image"


@dataclass(frozen=True)
class OwnTransform:
    """The preprocessing of another library; a callable from a PIL image to a tensor.

    What it does to the colours is measured: mean and std by black and white images, the order of the channels by red,
    green and blue ones.

    Attributes:
        transform: From an RGB image (or an L image, for one channel) to C x H x W.
        size: Height and width of the network's input for a square photo.
        mean: Mean that is subtracted from the 0..1 values, one number per channel of the input.
        std: Standard deviation by which the result is divided.
        order: For red, green and blue, the channel of the input.
        channels: 3 for colours, 1 for grey.
    """

    transform: Callable[[Image.Image], Tensor]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: tuple[int, ...]
    channels: int = 3

    @classmethod
    def measured(cls, transform: Callable[[Image.Image], Tensor], *, source: str, channels: int = 3) -> OwnTransform:
        """Measure what a transform does to the colours.

        Args:
            transform: From an RGB image (or an L image, for one channel) to C x H x W.
            source: Name of the preprocessing in messages.
            channels: Number of channels that the network takes.

        Raises:
            InputError: It does not make an image of this number of channels from a photo.
        """
        black, white = (_plain(transform, (grey,) * 3, source, channels) for grey in (0, 255))
        # The middle, as the border may be padded.
        low, high = (each[:, each.shape[1] // 2, each.shape[2] // 2].double() for each in (black, white))
        if not bool(((high - low).abs() > 1e-6).all()):
            raise InputError(f"{source} gives the same for black and white; use another preprocessing")
        std = 1 / (high - low)
        order: tuple[int, ...] = (0,)
        if channels == 3:
            colours = [
                _plain(transform, tuple(255 * (own == each) for own in range(3)), source, 3) for each in range(3)
            ]
            shares = [(each[:, each.shape[1] // 2, each.shape[2] // 2].double() - low) * std for each in colours]
            order = tuple(int(share.argmax()) for share in shares)
            order = order if sorted(order) == [0, 1, 2] else (0, 1, 2)
        # Some processors cut a large photo into tiles.
        for photo in (_photo(300, 220), _photo(180, 330), _photo(760, 420)):
            shape = tuple(_checked(transform, photo, source, channels).shape)
            if max(shape[1:]) > _LONGEST * min(shape[1:]):
                raise InputError(f"{source} makes {shape} of a photo, which is a row of patches; {_OTHER}")
        size = (black.shape[1], black.shape[2])
        return cls(transform, size, tuple((-low * std).tolist()), tuple(std.tolist()), order, channels)

    def __call__(self, image: Image.Image) -> Tensor:
        """The network's input for an image: C x H x W, float32.

        Args:
            image: Image of any mode and orientation, see :func:`maskstack.models.photos.to_rgb`.

        Raises:
            InputError: The preprocessing does not make one image of this photo.
        """
        return _checked(self.transform, to_rgb(image), "the network's preprocessing", self.channels)


def same(preprocess: Callable[[Image.Image], Tensor], other: Callable[[Image.Image], Tensor]) -> bool:
    """Whether two preprocessings give the same for photos of several shapes, up to :data:`SAME`."""
    for width, height in ((300, 220), (180, 330), (96, 96), (301, 223), (410, 290)):
        photo = _photo(width, height)
        ours, theirs = preprocess(photo), other(photo)
        if ours.shape != theirs.shape or float((ours - theirs).abs().mean()) > SAME:
            return False
    return True


def _plain(transform: Callable[[Image.Image], Tensor], colour: Any, source: str, channels: int) -> Tensor:
    return _checked(transform, Image.new("RGB", (_SIDE, _SIDE), colour), source, channels)


def _checked(transform: Callable[[Image.Image], Tensor], image: Image.Image, source: str, channels: int) -> Tensor:
    try:
        found: Any = transform(image if channels == 3 else image.convert("L"))
    # The preprocessing of another library may raise any error.
    except Exception as error:
        raise InputError(f"{source} cannot be used with a photo alone ({reason(error)}); {_OTHER}") from error
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if not isinstance(found, Tensor) or found.ndim != 3 or found.shape[0] != channels:
        raise InputError(f"{source} makes {shape} of a photo, not {channels} x height x width; {_OTHER}")
    return found.float()


@lru_cache(8)
def _photo(width: int, height: int) -> Image.Image:
    """A picture with coarse and fine structure, the same at each call."""
    random = np.random.default_rng(width)
    coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((width, height))
    fine = random.integers(-12, 13, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse).astype(int) + fine, 0, 255).astype(np.uint8))


def as_tensor(found: Any) -> Any:
    """What another library made of one photo as a tensor, without batch dimensions of 1."""
    tensor = torch.as_tensor(np.asarray(found)) if not isinstance(found, Tensor) else found
    while tensor.ndim > 3 and tensor.shape[0] == 1:
        tensor = tensor[0]
    return tensor
