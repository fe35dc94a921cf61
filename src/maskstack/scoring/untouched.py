"""Running a user's network and restoring everything afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from maskstack.errors import ModelError
from maskstack.scoring.exclusive import exclusive, gated
from maskstack.scoring.randomness import accelerators, global_states_kept
from maskstack.scoring.reach import Reach, reach

# A module's tables of submodules, buffers and hooks, by their attribute names in this version of torch.
_TABLES = tuple(
    name
    for name, value in vars(nn.Module()).items()
    if isinstance(value, dict) and (name in ("_modules", "_buffers") or "hook" in name)
)
_EMPTY: dict[Any, Any] = {}


@contextmanager
def untouched(model: Any) -> Iterator[Reach]:
    """Run a network in evaluation mode with frozen parameters, and restore everything afterwards, also after an error.

    The network is an ``nn.Module`` or any callable: the modules that it reaches are found by
    :func:`maskstack.scoring.reach.reach`. This restores the training flag of each of them, ``requires_grad`` of each
    parameter, buffers that the forward pass changes, and the state of the random generators of torch, numpy and Python.
    Other libraries' methods replace layers, leave hooks and clear gradients, and a network may register buffers when it
    is first run, so each module's submodules, buffers and hooks and each parameter's ``.grad`` are restored too.
    Parameters are frozen because only masks need gradients: no activations are stored for weight gradients, and
    ``.grad`` stays empty until it is restored.

    Threads that use the same modules wait for each other, so that each restores what it found. A call of a network in
    training mode by another thread, as in a training loop, waits as well.

    Yields:
        What the network reaches.

    Raises:
        ModelError: It has lazy layers that have no size yet.
    """
    found = reach(model)
    if any(isinstance(parameter, UninitializedParameter) for parameter in found.parameters):
        raise ModelError("the network has lazy layers, whose sizes are not known yet; run it once on images first")
    with exclusive(found) as outermost, gated(found.roots) if outermost else nullcontext(), _restored(found):
        yield found


@contextmanager
def _restored(found: Reach) -> Iterator[None]:
    modules, parameters = found.modules, found.parameters
    # Flags are set one by one: train() and eval() may be overridden, or forbidden as on exported programs.
    training = [module.training for module in modules]
    wants_grad = [parameter.requires_grad for parameter in parameters]
    gradients = [_gradient(parameter) for parameter in parameters]
    tables = [_tables(module) for module in modules]
    buffers = [
        (module, name, buffer, buffer if buffer.is_meta else buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    not_saved = [set(_not_saved(module)) for module in modules]
    with global_states_kept(accelerators(tensor.device for tensor in parameters)):
        try:
            for module in modules:
                module.training = False
            for parameter in parameters:
                _set_requires_grad(parameter, False)
            _set_gradients(parameters, [None] * len(parameters))
            yield
        finally:
            for module, kept, names in zip(modules, tables, not_saved, strict=True):
                _put_back(module, kept)
                _not_saved(module).intersection_update(names)
                _not_saved(module).update(names)
            for module, flag in zip(modules, training, strict=True):
                module.training = flag
            for parameter, flag in zip(parameters, wants_grad, strict=True):
                _set_requires_grad(parameter, flag)
            _set_gradients(parameters, gradients)
            for module, name, buffer, before in buffers:
                module._buffers[name] = buffer  # a scripted module's are in no dictionary
                if buffer is not before and not _equal(buffer, before):
                    # An inference tensor may be changed in inference mode only.
                    with torch.inference_mode() if buffer.is_inference() else torch.no_grad():
                        # By its data, so that a training step under way in another thread still finds its version.
                        buffer.data.copy_(before)


def _not_saved(module: nn.Module) -> set[str]:
    """Names of the module's buffers that its state_dict leaves out."""
    found: set[str] = vars(module).get("_non_persistent_buffers_set", set())
    return found


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


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def _set_requires_grad(tensor: Tensor, flag: bool) -> None:
    # Outside of inference mode, an inference tensor's flag cannot be set.
    if tensor.requires_grad is not flag:
        with torch.inference_mode() if tensor.is_inference() else nullcontext():
            tensor.requires_grad_(flag)


def _gradient(tensor: Tensor) -> Tensor | None:
    return None if tensor.is_inference() else tensor.grad


def _set_gradients(parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if _gradient(parameter) is not gradient:
            parameter.grad = gradient


def device_of(model: Any, images: Tensor) -> torch.device:
    """Device of the network's first parameter or buffer, or of the images if it has none."""
    modules = [model] if isinstance(model, nn.Module) else reach(model).roots
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            return tensor.device
    return images.device
