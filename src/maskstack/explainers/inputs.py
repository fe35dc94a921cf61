"""What a caller hands over, checked before any work is done."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskstack.errors import InputError, ModelError


def check_images(images: Any) -> None:
    """Check that images can be explained.

    Raises:
        InputError: They are no B x C x H x W tensor of finite floating-point numbers.
        ModelError: Autograd is switched off for good by inference mode.
    """
    if torch.is_inference_mode_enabled():
        raise ModelError("masks are learned by gradients, which torch.inference_mode() forbids; call outside of it")
    if not isinstance(images, Tensor):
        raise InputError(f"images must be a tensor B x C x H x W, not a {type(images).__name__}")
    if images.is_inference():
        raise ModelError("the images were made under torch.inference_mode(), which forbids gradients; clone() them")
    if images.ndim != 4:
        hint = "; add the batch dimension with .unsqueeze(0)" if images.ndim == 3 else ""
        raise InputError(f"images have shape {tuple(images.shape)}; they must be B x C x H x W{hint}")
    if 0 in images.shape:
        raise InputError(f"images have shape {tuple(images.shape)}; the batch is empty, give at least one image")
    if not images.is_floating_point():
        raise InputError(
            f"images are {str(images.dtype).removeprefix('torch.')}; give floating-point numbers, normalised as the "
            "network was trained"
        )
    if not torch.isfinite(images).all():
        raise InputError("images hold NaN or infinite values; clean them first")
