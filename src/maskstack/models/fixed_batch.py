"""Networks that were frozen with one batch size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.errors import ModelError


class FixedBatch(nn.Module):
    """Lets a network that only takes batches of one size take batches of any size.

    The images are run in slices of that size, the last one padded by repeating its last image.

    Args:
        model: Takes ``batch`` x C x H x W; the first dimension of each output tensor runs over the images.
        batch: The size it takes.
    """

    def __init__(self, model: nn.Module, batch: int) -> None:
        super().__init__()
        self.model, self.batch = model, batch

    def forward(self, images: Tensor) -> Any:
        """The output for B x C x H x W, of the kind the network gives.

        Raises:
            ModelError: The output is made of something else than tensors.
        """
        count = len(images)
        short = -count % self.batch
        if short:
            images = torch.cat([images, images[-1:].expand(short, *images.shape[1:])])
        return _join([self.model(part) for part in torch.split(images, self.batch)], count)


def _join(parts: list[Any], count: int) -> Any:
    """Join the outputs of the slices and cut off the padding."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)[:count]
    if isinstance(first, Mapping):
        return {key: _join([part[key] for part in parts], count) for key in first}
    if isinstance(first, tuple | list):
        return [_join(list(each), count) for each in zip(*parts, strict=True)]
    raise ModelError(f"the network returned a {type(first).__name__}; export it so that it returns tensors")
