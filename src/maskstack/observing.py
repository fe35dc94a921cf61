"""Observing the operations of a network, also when a Ctrl-C comes in their midst."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from torch import Tensor
from torch.utils.weak import TensorWeakRef

T = TypeVar("T")


@contextmanager
def seen_by(mode: Any) -> Iterator[None]:
    """Inside the context, a mode of torch sees every operation.

    torch takes the mode away for a moment in each operation. A Ctrl-C at this moment leaves it away, and the end of the
    mode's own ``with`` statement then is an error of torch in place of the interruption.

    Args:
        mode: A ``TorchFunctionMode`` or a ``TorchDispatchMode``.
    """
    mode.__enter__()
    try:
        yield
    except BaseException as error:
        with suppress(RuntimeError):
            mode.__exit__(type(error), error, error.__traceback__)
        raise
    mode.__exit__(None, None, None)


class TensorNotes(Generic[T]):
    """A note about each of some tensors, which keeps no tensor in memory.

    Unlike a dictionary of weak keys, it runs no code when a tensor ends: a Ctrl-C within such code is lost, because
    Python only prints the exceptions of it. The notes of ended tensors stay until the object ends.

    >>> import torch
    >>> notes, tensor = TensorNotes[str](), torch.ones(2)
    >>> notes.put(tensor, "ones")
    >>> notes.of(tensor), notes.of(tensor.clone())
    ('ones', None)
    """

    def __init__(self) -> None:
        self._notes: dict[int, tuple[TensorWeakRef, T]] = {}

    def put(self, tensor: Tensor, note: T) -> None:
        """Note something about a tensor, in place of what was noted before."""
        self._notes[id(tensor)] = TensorWeakRef(tensor), note

    def of(self, tensor: Tensor) -> T | None:
        """What was noted about a tensor; None if nothing was."""
        # Another tensor may have got the place in memory of one that has ended.
        found = self._notes.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def clear(self) -> None:
        """Forget all notes."""
        self._notes.clear()
