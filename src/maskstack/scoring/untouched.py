"""Running a user's network and restoring everything afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from maskstack.errors import ModelError
from maskstack.scoring.attributes import Attributes
from maskstack.scoring.exclusive import exclusive, gated, wholly
from maskstack.scoring.randomness import accelerators, global_states_kept
from maskstack.scoring.reach import Reach, reach


@contextmanager
def untouched(model: Any) -> Iterator[Reach]:
    """Run a network in evaluation mode with frozen parameters, and restore everything afterwards, also after an error.

    The network is an ``nn.Module`` or any callable: the modules that it reaches are found by
    :func:`maskstack.scoring.reach.reach`. This restores the training flag of each of them, ``requires_grad`` of each
    parameter, buffers that the forward pass changes, and the state of the random generators of torch, numpy and Python.
    Other libraries' methods replace layers, leave hooks and clear gradients, and a network may change itself when it is
    run: register buffers or hooks, note that it did so, count passes. So all attributes of each module, with its
    submodules, buffers and hooks, and each parameter's ``.grad`` are restored too.
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
    # A frozen module of TorchScript has none.
    training = [(module, module.training) for module in modules if hasattr(module, "training")]
    wants_grad = [parameter.requires_grad for parameter in parameters]
    gradients = [_gradient(parameter) for parameter in parameters]
    # The same memory, not a copy: a network may give a weight other data, such as weights of limited size (EEGNet).
    data = [(parameter, parameter.data) for parameter in parameters if type(parameter) in (nn.Parameter, Tensor)]
    attributes = [Attributes.of(module) for module in modules]
    buffers = [
        (module, name, buffer, buffer if buffer.is_meta else buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    with_gradients = torch.is_grad_enabled()

    def put_back() -> None:
        # A Ctrl-C at the edge of torch.no_grad() leaves gradients switched off.
        torch.set_grad_enabled(with_gradients)
        for kept in attributes:
            kept.put_back()
        for module, flag in training:
            module.training = flag
        for parameter, before in data:
            if parameter.data_ptr() != before.data_ptr() or parameter.shape != before.shape:
                parameter.data = before
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

    with global_states_kept(accelerators(tensor.device for tensor in parameters)):
        try:
            for module, _ in training:
                module.training = False
            for parameter in parameters:
                _set_requires_grad(parameter, False)
            _set_gradients(parameters, [None] * len(parameters))
            yield
        finally:
            wholly(put_back)


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
