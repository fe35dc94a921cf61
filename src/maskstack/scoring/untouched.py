"""Running a user's network and restoring everything afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# A module's table of submodules and its tables of hooks, by their attribute names in this version of torch.
_TABLES = tuple(
    name
    for name, value in vars(nn.Module()).items()
    if isinstance(value, dict) and (name == "_modules" or "hook" in name)
)
_EMPTY: dict[Any, Any] = {}


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Run a network in evaluation mode with frozen parameters, and restore everything afterwards, also after an error.

    This restores the training flag of each submodule, ``requires_grad`` of each parameter, buffers that the forward
    pass changes, and the state of torch's random generators. Other libraries' methods replace layers, leave hooks and
    clear gradients, so each module's submodules and hooks and each parameter's ``.grad`` are restored too. Parameters
    are frozen because only masks need gradients: no activations are stored for weight gradients, and ``.grad`` stays
    empty until it is restored.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    # Flags are set one by one: train() and eval() may be overridden, or forbidden as on exported programs.
    training = [module.training for module in modules]
    wants_grad = [parameter.requires_grad for parameter in parameters]
    gradients = [parameter.grad for parameter in parameters]
    tables = [_tables(module) for module in modules]
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
            _set_gradients(parameters, [None] * len(parameters))
            yield
        finally:
            for module, kept in zip(modules, tables, strict=True):
                _put_back(module, kept)
            for module, flag in zip(modules, training, strict=True):
                module.training = flag
            for parameter, flag in zip(parameters, wants_grad, strict=True):
                parameter.requires_grad_(flag)
            _set_gradients(parameters, gradients)
            with torch.no_grad():
                for module, name, buffer, before in buffers:
                    module._buffers[name] = buffer
                    if not torch.equal(buffer, before):
                        buffer.copy_(before)


def _tables(module: nn.Module) -> list[tuple[str, dict[Any, Any], dict[Any, Any]]]:
    """Name and content of each of a module's tables, and a copy of it unless it is empty."""
    own = vars(module)
    # A scripted module's submodules are not in a dictionary, and they cannot be replaced either.
    return [
        (name, table, dict(table) if table else _EMPTY) for name in _TABLES if isinstance(table := own.get(name), dict)
    ]


def _put_back(module: nn.Module, tables: list[tuple[str, dict[Any, Any], dict[Any, Any]]]) -> None:
    own = vars(module)
    for name, table, entries in tables:
        # The same dictionary, as the handles of hooks refer to it.
        if own.get(name) is not table:
            own[name] = table
        if table != entries if entries else table:
            table.clear()
            table.update(entries)


def _set_gradients(parameters: list[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter.grad is not gradient:
            parameter.grad = gradient


def _devices(parameters: list[nn.Parameter]) -> list[Any]:
    """The CUDA devices the network is on; the generator of the CPU is always kept."""
    return sorted({p.device.index for p in parameters if p.device.type == "cuda" and p.device.index is not None})


def device_of(model: Any, images: Tensor) -> torch.device:
    """Device of the network's first parameter or buffer, or of the images if it has none."""
    if isinstance(model, nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            return tensor.device
    return images.device
