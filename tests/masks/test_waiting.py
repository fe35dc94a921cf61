"""A step of the search does not make the host wait for the device, which would leave a GPU without work.

There may be no GPU here, so the calls that would wait for one are counted: those that read values of a tensor.
"""

import torch
from torch.overrides import TorchFunctionMode

from maskstack.masks.presets import PRESETS
from maskstack.masks.search import search

READING = {
    "tolist", "item", "__bool__", "__int__", "__float__", "__index__", "nonzero", "argwhere", "equal", "allclose",
    "cpu", "numpy", "masked_select", "unique", "__contains__", "__array__",
}  # fmt: skip


class Waits(TorchFunctionMode):
    """Counts calls after which the host knows values of a tensor, and indices by booleans, whose number it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        indices = args[1] if name in ("__getitem__", "__setitem__") else ()
        indices = indices if isinstance(indices, tuple) else (indices,)
        by_booleans = any(isinstance(each, torch.Tensor) and each.dtype == torch.bool for each in indices)
        self.count += name in READING or by_booleans
        return func(*args, **(kwargs or {}))


def waits(net_score, photos, preset: str, *, batch_size: int = 4, **changes) -> int:
    settings = PRESETS[preset].with_(sizes=((4, 4), (8, 6)), batch_size=batch_size, keep=0.0, **changes)
    with Waits() as counted:
        search(net_score, photos[:4], settings=settings)
    return counted.count


def test_operations_that_wait_are_counted() -> None:
    values = torch.arange(3.0)
    for wait in (
        lambda: values[values > 1],
        lambda: bool(values.any()),
        lambda: float(values[0]),
        lambda: values.tolist(),
    ):
        with Waits() as counted:
            wait()
        assert counted.count, wait
    with Waits() as counted:
        values[torch.tensor([0, 2])] += values.sum()
        torch.where(values > 1, values, 0)
    assert counted.count == 0


def test_the_host_waits_once_between_two_steps_and_never_inside_of_one(net_score, photos) -> None:
    for preset in ("default", "fast"):
        few, many = (waits(net_score, photos, preset, steps=steps) for steps in (3, 8))
        assert many - few == 8 - 3, preset
    # More chunks in a step make no more of them: four members of four images are one chunk of 16, or four of 4.
    whole = waits(net_score, photos, "default", steps=3, batch_size=16)
    assert waits(net_score, photos, "default", steps=3) == whole
