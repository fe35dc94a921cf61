"""Randomising a network layer by layer, and restoring it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from maskstack.errors import InputError


class Cascade:
    """Iterator that randomises one layer after another, from the output down.

    A layer gets the same random weights on every device, independent of other random numbers, and the state of torch's
    own generators does not change.

    Attributes:
        names: Names of the layers in the order in which they are randomised.
    """

    def __init__(self, model: nn.Module, *, layers: Sequence[str] | None, seed: int) -> None:
        own = {name: layer for name, layer in model.named_modules() if any(True for _ in layer.parameters(False))}
        if not own:
            raise InputError("the network has no parameters to randomise; give a network with parameters")
        self.names = list(reversed(own)) if layers is None else list(layers)
        if unknown := [name for name in self.names if name not in own]:
            raise InputError(
                f"{unknown[0]!r} is not a layer with parameters of its own; such layers are {', '.join(own)}"
            )
        self._layers = [own[name] for name in self.names]
        self._seeds = torch.randint(2**31, (len(own),), generator=torch.Generator().manual_seed(seed)).tolist()

    def __iter__(self) -> Iterator[str]:
        for name, layer, seed in zip(self.names, self._layers, self._seeds, strict=False):
            make_random(layer, seed=seed)
            yield name


@contextmanager
def cascade(model: nn.Module, *, layers: Sequence[str] | None = None, seed: int = 0) -> Iterator[Cascade]:
    """Randomise a network from the output down (Adebayo et al. 2018) within a context, and restore it afterwards.

    The values of every parameter and buffer are restored in place, also after an error, so that other references to
    these tensors see the original values again.

    Args:
        model: The network.
        layers: Names of layers with parameters of their own, the one nearest to the output first. None means all of
            them, the last registered first, which in nearly all networks is the reverse of the order of execution.
        seed: Seed of the random weights.

    Raises:
        InputError: The network has no layer with parameters, or no layer with one of the names.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with cascade(net) as depths:
    ...     list(depths)
    ['2', '0']
    """
    depths = Cascade(model, layers=layers, seed=seed)
    held = [
        (owner, name, tensor, tensor.detach().clone())
        for owner in model.modules()
        for name, tensor in [*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False)]
    ]
    try:
        yield depths
    finally:
        with torch.no_grad():
            for owner, name, tensor, value in held:
                tensor.copy_(value)
                if getattr(owner, name) is not tensor:  # A layer or an explainer has replaced the tensor.
                    setattr(owner, name, tensor)


@torch.no_grad()
def make_random(layer: nn.Module, *, seed: int) -> None:
    """Replace the learned values of a layer by random initial values.

    The layer's own ``reset_parameters`` is used if it exists; it also resets the statistics of batch norm. Otherwise,
    parameters are drawn from a normal distribution around 0 with the root mean square of the learned values, so that
    they have the same size and are random even if all learned values are equal.

    Args:
        layer: The layer; its own parameters and buffers change, not those of its children.
        seed: Seed of the random values.
    """
    generator = torch.Generator().manual_seed(seed)
    if not callable(getattr(layer, "reset_parameters", None)):
        for parameter in layer.parameters(recurse=False):
            size = parameter.double().square().mean().sqrt().item()
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float32, device="cpu")
            parameter.copy_(drawn * size)
        return
    # A copy on the CPU is reset: each device would draw different numbers, and from a generator whose state must not
    # change.
    fresh = copy.copy(layer)
    fresh._parameters = {
        name: None if own is None else nn.Parameter(_on_cpu(own), requires_grad=own.requires_grad)
        for name, own in layer._parameters.items()
    }
    fresh._buffers = {name: None if own is None else _on_cpu(own) for name, own in layer._buffers.items()}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        fresh.reset_parameters()  # type: ignore[operator]
    for before, after in ((layer._parameters, fresh._parameters), (layer._buffers, fresh._buffers)):
        for name, own in before.items():
            new = after.get(name)
            if own is not None and new is not None:
                own.copy_(new)


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
