"""A user's network as the searches call it: precision, memory format, compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from maskstack.errors import ModelError


class Network:
    """Calls a network on float32 images, in the wanted precision and memory format.

    Args:
        model: Any callable from images B x C x H x W to an output.
        dtype: The type the network takes its images in.
        precision: ``fp32``, or ``bf16`` for autocast.
        channels_last: Whether to hand over channels-last images.
        compile: Whether to run the network through ``torch.compile``.
    """

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        *,
        dtype: torch.dtype = torch.float32,
        precision: str = "fp32",
        channels_last: bool = False,
        compile: bool = False,  # noqa: A002
    ) -> None:
        self.model = torch.compile(model, dynamic=False) if compile else model
        self.dtype, self.precision = dtype, precision
        self.format = torch.channels_last if channels_last else torch.preserve_format

    def __call__(self, images: Tensor) -> Any:
        """The network's output as it is."""
        images = images.to(self.dtype)
        if self.format is torch.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            return self.model(images)

    def first(self, images: Tensor) -> Any:
        """The output for the first images, with the network's own complaint turned into a sentence.

        Raises:
            ModelError: The network does not take images of this shape, or cannot be run as it is.
        """
        try:
            return self(images)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            if "nference tensor" in str(error):
                raise ModelError(
                    "the network's weights were made under torch.inference_mode(), which forbids gradients; "
                    "load the network outside of it"
                ) from error
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            shape = " x ".join(map(str, images.shape))
            raise ModelError(
                f"the network does not take images of shape {shape}; give what its preprocessing makes ({reason})"
            ) from error
