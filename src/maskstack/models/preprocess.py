"""Preprocessing of an image to the network's input, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError
from maskstack.models.photos import to_rgb

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LARGEST_RESIZED = 16_000_000
"""Largest width x height of a resized image; of a larger one, only the crop is resized."""

_GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601, which Pillow uses to convert colours to grey.


@dataclass(frozen=True)
class Preprocess:
    """Resizes, crops and normalises an image; a callable from a PIL image to a tensor.

    Attributes:
        size: Height and width of the network's input.
        share: The part of the resized image that the centre crop keeps: 0.875 resizes to 256 for a crop of 224.
        squash: Whether to resize to the size without keeping the aspect ratio.
        mean: Mean that is subtracted from the 0..1 values, one number per channel.
        std: Standard deviation by which the result is divided, one number per channel.
        resampling: Filter for resizing; Pillow's filters are antialiased.
        channels: 3 for RGB, 1 for grey; other numbers can be loaded, but no photo can be converted to them.

    Raises:
        InputError: The size, share, mean, std or number of channels is out of range.
    """

    size: tuple[int, int] = (224, 224)
    share: float = 0.875
    squash: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resampling: Image.Resampling = Image.Resampling.BILINEAR
    channels: int = 3

    def __post_init__(self) -> None:
        if min(self.size) < 1 or not 0 < self.share <= 1:
            raise InputError(f"size is {self.size} and share {self.share}; sizes are 1 or more, the share in (0, 1]")
        if self.channels < 1:
            raise InputError(f"the network takes {self.channels} channels; give 1 or more")
        check_normalisation(self.mean, self.std, channels=self.channels)

    def __call__(self, image: Image.Image) -> Tensor:
        """The network's input for an image: C x H x W, float32.

        Args:
            image: Image of any mode and orientation, see :func:`maskstack.models.photos.to_rgb`.

        Raises:
            InputError: The network takes another number of channels than 1 or 3.
        """
        if self.channels not in (1, 3):
            raise InputError(
                f"the network takes {self.channels} channels, which no photo has; give MDM a tensor "
                f"B x {self.channels} x H x W, normalised as in training"
            )
        image = self.crop(to_rgb(image))
        if self.channels == 1:
            image = image.convert("L")
        values = np.array(image, dtype=np.float32) / 255
        pixels = torch.from_numpy(values.reshape(*self.size, self.channels)).permute(2, 0, 1)
        return ((pixels - _column(self.mean)) / _column(self.std)).contiguous()

    def crop(self, image: Image.Image) -> Image.Image:
        """The part of the image that the network sees, resized to the size of its input."""
        height, width = self.size
        tall, wide, left, top = self._placed(image.size)
        if tall * wide > LARGEST_RESIZED:
            # A long and narrow image is not resized as a whole; the result differs by rounding only.
            return image.resize((width, height), self.resampling, box=self.box(image.size))
        return image.resize((wide, tall), self.resampling).crop((left, top, left + width, top + height))

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what :meth:`crop` keeps, in pixels of the image.

        Args:
            size: Width and height of the upright image.

        >>> Preprocess(share=0.5).box((400, 200))
        (150.0, 50.0, 250.0, 150.0)
        """
        height, width = self.size
        tall, wide, left, top = self._placed(size)
        across, down = size[0] / wide, size[1] / tall
        return left * across, top * down, (left + width) * across, (top + height) * down

    def _placed(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Height and width of the resized image, and the left and top edge of the crop in it."""
        height, width = self.size
        # Round down as timm and torchvision do: 224 / 0.9 is 248.
        tall, wide = (math.floor(side / self.share + 1e-6) for side in self.size)
        if not self.squash:
            scale = max(tall / size[1], wide / size[0])
            tall, wide = max(tall, int(size[1] * scale)), max(wide, int(size[0] * scale))
        return tall, wide, round((wide - width) / 2), round((tall - height) / 2)


def many_channels(channels: int, size: tuple[int, int] = (224, 224)) -> Preprocess:
    """The preprocessing of a network for another number of channels than 1 or 3: no normalisation is known."""
    return Preprocess(size=size, mean=(0.0,) * channels, std=(1.0,) * channels, channels=channels)


def check_normalisation(mean: tuple[float, ...], std: tuple[float, ...], *, channels: int) -> None:
    """Check that mean and std have one valid number per channel.

    Raises:
        InputError: There is not one number per channel, a number is not finite, or a std is not positive.
    """
    if not len(mean) == len(std) == channels:
        raise InputError(
            f"{len(mean)} numbers in mean and {len(std)} in std for {channels} channels; give one for each"
        )
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise InputError(f"mean is {mean} and std {std}; both must be finite, and std above 0")


def grey_normalisation(values: tuple[float, ...]) -> tuple[float]:
    """Mean or std for grey images from that for RGB images, by the weights of the colours in grey.

    >>> grey_normalisation((0.5, 0.5, 0.5))
    (0.5,)
    """
    if len(values) == 1:
        return (values[0],)
    return (round(sum(weight * value for weight, value in zip(_GREY_WEIGHTS, values, strict=True)), 6),)


def to_picture(
    tensor: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...], order: tuple[int, ...] = (0, 1, 2)
) -> Image.Image:
    """Undo the normalisation.

    Args:
        tensor: Normalised image, C x H x W, on any device.
        mean: Mean, one number per channel.
        std: Standard deviation, one number per channel.
        order: For red, green and blue, the channel of the tensor.

    Returns:
        RGB image of W x H; grey if the tensor has one channel, and the mean of the channels if it has many.

    Raises:
        InputError: The tensor is not C x H x W, or mean has another number of channels.
    """
    if tensor.ndim != 3 or tensor.shape[0] != len(mean):
        raise InputError(f"a tensor of shape {tuple(tensor.shape)} is not an image of {len(mean)} x height x width")
    pixels = tensor.detach().float().cpu() * _column(std) + _column(mean)
    pixels = pixels[list(order)] if len(pixels) == 3 else pixels.mean(dim=0, keepdim=True)
    values = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(values.squeeze(2) if values.shape[2] == 1 else values).convert("RGB")


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
