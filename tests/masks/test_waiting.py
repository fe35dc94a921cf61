"""A step of the search does not make the host wait for the device, which would leave a GPU without work.

There may be no GPU here. Torch's device ``meta`` stands in for it: its tensors have no values, so whatever reads some
fails, or is answered and counted here; and its memory is not the host's, so copies between the two are seen.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from maskstack.masks.presets import PRESETS
from maskstack.masks.search import search
from maskstack.tensors import sent

DEVICE = torch.device("meta")
READ = {"__bool__": True, "item": 0, "__int__": 0, "__float__": 0.0, "__index__": 0}
"""What a tensor's only value is said to be, by the method that reads it."""


class Waits(TorchFunctionMode):
    """Counts where the host waits: it reads values of the device, or copies from or to it and waits for the end."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if given and given[0].is_meta and (answer := _answer(name, given[0])) is not None:
            self.count += 1
            return answer
        found = func(*args, **kwargs)
        if isinstance(found, Tensor) and found.is_meta:
            from_host = name in ("tensor", "as_tensor") or any(not each.is_meta and each.ndim for each in given)
            self.count += from_host and not kwargs.get("non_blocking")
        return found


def _answer(name: str, values: Tensor) -> Any:
    """What stands in for values that are read; None if none are."""
    if name in READ:
        return READ[name]
    if name == "tolist":  # booleans say what is still searched for
        return [True if values.dtype == torch.bool else 0] * values.numel()
    if name == "nonzero":
        return torch.empty(0, values.ndim, dtype=torch.long, device=DEVICE)
    return torch.zeros(values.shape, dtype=values.dtype) if name == "cpu" else None


@pytest.fixture(scope="module")
def score():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).to(DEVICE)
    return lambda images, _rows: net(images)[:, 1].sigmoid()


def waits(score: Any, preset: str, *, batch_size: int = 4, **changes: Any) -> int:
    settings = PRESETS[preset].with_(sizes=((4, 4), (8, 6)), batch_size=batch_size, keep=0.0, **changes)
    images = torch.rand(4, 3, 32, 40, device=DEVICE)
    with Waits() as counted:
        search(score, images, settings=settings)
    return counted.count


def test_operations_that_wait_are_counted() -> None:
    values, own = torch.arange(3.0, device=DEVICE), torch.arange(3)
    for wait in (
        lambda: bool(values.any()),
        lambda: float(values[0]),
        lambda: values.tolist(),
        lambda: values.cpu(),
        lambda: (values > 1).nonzero(),
        lambda: own.to(DEVICE),
        lambda: torch.tensor([1, 2], device=DEVICE),
    ):
        with Waits() as counted:
            wait()
        assert counted.count, wait
    with Waits() as counted:
        values[torch.zeros(2, dtype=torch.long, device=DEVICE)] += values.sum() * 2
        torch.where(values > 1, values, 0)
        sent(own, DEVICE)
    assert counted.count == 0
    with pytest.raises((RuntimeError, NotImplementedError)):
        values[values > 1]  # an index by booleans waits for their number


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.slow
def test_the_host_waits_once_between_two_steps_and_never_inside_of_one(score: Any, preset: str) -> None:
    few, many = (waits(score, preset, steps=steps) for steps in (3, 8))
    assert many - few == 8 - 3
    # More chunks in a step make no more of them: four members of four images are one chunk of 16, or four of 4.
    whole = waits(score, preset, steps=3, batch_size=16)
    assert waits(score, preset, steps=3) == whole
