"""Running a user's network without leaving a trace on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Run a network in evaluation mode with frozen parameters, and put everything back, whatever happens.

    Put back are the training flag of each submodule, ``requires_grad`` of each parameter, buffers that the forward pass
    itself changes, and the state of torch's random generators. Parameters are frozen meanwhile since only masks are
    differentiated: nothing then keeps activations for gradients of weights, and none can arrive in ``.grad``.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    # Flags are set one by one: train() and eval() may be overridden, or forbidden as on exported programs.
    training = [module.training for module in modules]
    wants_grad = [parameter.requires_grad for parameter in parameters]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    with torch.random.fork_rng(devices=_devices(parameters)):
        try:
            for module in modules:
                module.training = False
            for parameter in parameters:
                parameter.requires_grad_(False)
            yield
        finally:
            for module, flag in zip(modules, training, strict=True):
                module.training = flag
            for parameter, flag in zip(parameters, wants_grad, strict=True):
                parameter.requires_grad_(flag)
            with torch.no_grad():
                for module, name, buffer, before in buffers:
                    module._buffers[name] = buffer
                    if not torch.equal(buffer, before):
                        buffer.copy_(before)


def _devices(parameters: list[nn.Parameter]) -> list[Any]:
    """The CUDA devices the network is on; the generator of the CPU is always kept."""
    return sorted({p.device.index for p in parameters if p.device.type == "cuda" and p.device.index is not None})


def device_of(model: Any, images: Tensor) -> torch.device:
    """Device of the network's first parameter or buffer, or of the images if it has none."""
    if isinstance(model, nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            return tensor.device
    return images.device
