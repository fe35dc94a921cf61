"""torch's own defaults while an explanation is made, whatever the user's program has set for new tensors."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

import torch

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class _DefaultDtype:
    """Sets the default type to float32 while at least one thread needs it; it belongs to the whole process."""

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = torch.get_default_dtype()
            self._users += 1
            if torch.get_default_dtype() != torch.float32:
                torch.set_default_dtype(torch.float32)

    def __exit__(self, *_exception: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._before != torch.float32:
                torch.set_default_dtype(self._before)


_FLOAT32 = _DefaultDtype()
_AUTOCAST = "cpu", "cuda", "mps", "xpu"


@contextmanager
def usual_defaults() -> Iterator[None]:
    """Inside the context, new tensors are float32 and on the CPU where nothing else is said, as torch has it at first.

    The user's ``torch.autocast`` is off: it would round masks and losses too. Passes of the network have their own way.
    Afterwards, the defaults are as before. Contexts may be nested, and used by several threads.

    >>> with torch.device("meta"), usual_defaults():
    ...     torch.zeros(2).device
    device(type='cpu')
    """
    with _FLOAT32, ExitStack() as changes:
        for kind in _AUTOCAST:
            if torch.is_autocast_enabled(kind):
                changes.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":
            changes.enter_context(torch.device("cpu"))
        yield


def with_usual_defaults(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """A function that runs within :func:`usual_defaults`."""

    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with usual_defaults():
            return function(*args, **kwargs)

    return run
