"""Fills: the images that are shown where a mask is closed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.masks.shifts import Margined
from maskstack.masks.shown import Sides
from maskstack.tensors import gaussian_blur, sent

Fill = Literal["zero", "mean", "blur", "noise", "given"]
FILLS: tuple[str, ...] = get_args(Fill)
"""Names of the fills: the normalisation mean, each image's own mean colour, the blurred image, noise, a given image."""


class Fills:
    """The fills of a batch, one for each turn. Fills that do not change are computed once.

    Args:
        names: Names of :data:`FILLS`, which are used in turn.
        images: B x C x H x W.
        blur: Standard deviation of the blur as a share of the image's shorter side.
        seed: Seed of the noise.
        given: The fill of the name ``given``.
        margin: Largest shift of what :meth:`sides` returns, in pixels.

    Raises:
        InputError: ``given`` is asked for and missing, or does not fit the images.
    """

    def __init__(
        self,
        names: Sequence[str],
        images: Tensor,
        *,
        blur: float,
        seed: int,
        given: Tensor | None = None,
        margin: int = 0,
    ) -> None:
        self.names = names
        # On the CPU, so that every device draws the same.
        self.generator = torch.Generator().manual_seed(seed)
        self.fixed = {
            name: make_fill(name, images, blur=blur, generator=self.generator, given=given)
            for name in names
            if name != "noise"
        }
        self.noise = _Noise(images)
        self.images = Margined.around(images, margin)
        self._sides: dict[str, Sides] = {}

    def __call__(self, turn: int) -> Tensor:
        """The fill of a turn, B x C x H x W; noise is drawn again each time."""
        name = self.names[turn % len(self.names)]
        return self.fixed[name] if name in self.fixed else self.noise(self.generator)

    def sides(self, turn: int) -> Sides:
        """The images and the fill of a turn, of which shifted views can be cut; noise is drawn again each time."""
        name = self.names[turn % len(self.names)]
        if name not in self.fixed:
            draw = partial(self.noise, self.generator)
            return Sides.of(self.images, Margined.filled(self.noise.images, self.images.margin, draw))
        if name not in self._sides:
            self._sides[name] = Sides.of(self.images, Margined.around(self.fixed[name], self.images.margin))
        return self._sides[name]


class _Noise:
    """Noise with each image's mean and standard deviation per channel, from one random field for all images."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        places = tuple(range(2, images.ndim))
        self.centre = images.mean(dim=places, keepdim=True)
        self.spread = images.std(dim=places, keepdim=True, correction=0)

    def __call__(self, generator: torch.Generator, out: Tensor | None = None) -> Tensor:
        field = torch.randn(self.images.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
        field = sent(field.to(self.images.dtype), self.images.device)
        return torch.addcmul(self.centre, self.spread, field.unsqueeze(0), out=out)


def make_fill(
    name: str, images: Tensor, *, blur: float = 0.05, generator: torch.Generator, given: Tensor | None = None
) -> Tensor:
    """Make the fill of that name for a batch of images.

    Noise has each image's own mean and standard deviation per channel. Its random field is drawn once and shared by the
    batch, so that an image gets the same noise alone and in a batch.

    Args:
        name: One of :data:`FILLS`.
        images: B x C x H x W, preprocessed for the network.
        blur: Standard deviation of the blur as a share of the image's shorter side.
        generator: Source of the noise, on the CPU, so that every device draws the same field.
        given: The fill of the name ``given``; broadcasts to the images.

    Returns:
        Fill, B x C x H x W.

    Raises:
        InputError: ``given`` is asked for and missing, or does not fit the images.
    """
    if name == "zero":
        return images.new_zeros(1).expand_as(images)
    if name == "mean":
        return images.mean(dim=tuple(range(2, images.ndim)), keepdim=True).expand_as(images)
    if name == "blur":
        return gaussian_blur(images, blur * min(images.shape[2:]))
    if name == "noise":
        return _Noise(images)(generator)
    return given_fill(images, given)


def given_fill(images: Tensor, given: Tensor | None) -> Tensor:
    """The fill of the name ``given``, B x C x H x W.

    Raises:
        InputError: It is missing, does not fit the images, or holds values that are not finite.
    """
    if given is None:
        raise InputError("the fill 'given' needs an image: pass it as fill_image")
    try:
        fill = given.to(images).expand_as(images)
    except RuntimeError as error:
        raise InputError(
            f"fill_image has shape {tuple(given.shape)}, which does not broadcast to {tuple(images.shape)}; "
            "give the images' shape"
        ) from error
    if not torch.isfinite(fill).all():
        raise InputError("fill_image holds NaN or infinite values; replace them first")
    return fill
