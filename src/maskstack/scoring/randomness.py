"""Random numbers inside a network and inside other libraries' methods: from the explanation's own seed.

torch, numpy and Python have one global generator each (torch has one for each device), which all threads share. A
stream puts its own states in place while it is used, and the global ones back afterwards.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

States = tuple[Any, Any, Any, list[Any]]
"""States of the generators of torch, numpy, Python and of each device."""

Devices = Sequence[torch.device]
"""Devices other than the CPU whose generators are used; the CPU's always is."""

_in_use = threading.RLock()
"""Held while a stream's states are the global ones, so that two streams do not mix."""

_turns = 0
"""How often a stream was begun or ended."""

_drawing: int | None = None
"""The thread whose stream is in use."""


def accelerators(devices: Iterable[torch.device]) -> list[torch.device]:
    """The devices among these that have a random generator of their own, each once, in a fixed order."""
    able = {device for device in devices if device.type not in ("cpu", "meta") and _generator(device)}
    return sorted(able, key=str)


def global_states(devices: Devices = ()) -> States:
    """The states of all global random generators that a network on these devices can use."""
    others = [_generator(device).get_rng_state(device) for device in devices]
    return torch.get_rng_state(), np.random.get_state(), random.getstate(), others


def set_global_states(states: States, devices: Devices = ()) -> None:
    """Put back what :func:`global_states` gave."""
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    for device, state in zip(devices, states[3], strict=True):
        _generator(device).set_rng_state(state, device)


def same_states(one: States, other: States) -> bool:
    """Whether no number was drawn between two states."""
    return (
        torch.equal(one[0], other[0])
        and one[1][2:] == other[1][2:]
        and np.array_equal(one[1][1], other[1][1])
        and one[2] == other[2]
        and all(torch.equal(a, b) for a, b in zip(one[3], other[3], strict=True))
    )


def turn_of_others() -> int | None:
    """A number that is the same before and after some work if no other thread used a stream; None while one does."""
    return None if _drawing not in (None, threading.get_ident()) else _turns


def only_torch_drew(one: States, other: States) -> bool:
    """Whether the states of torch's generators are all that differs, so that :class:`Draws` sees what drew."""
    return same_states((torch.empty(0), *one[1:3], []), (torch.empty(0), *other[1:3], []))


class Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside the context, observes whether this thread draws random numbers by torch; other threads do not count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Run the operation."""
        self.seen = self.seen or torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())
        return func(*args, **(kwargs or {}))


class RandomStream:
    """A stream of random numbers, for code that draws from the global generators.

    Args:
        seed: Where it starts.
        devices: The devices whose generators belong to it.
    """

    def __init__(self, seed: int, devices: Devices = ()) -> None:
        self.seed, self.devices = seed, devices
        self._states: States | None = None

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Inside the context the global generators continue this stream; afterwards they are as they were."""
        global _turns, _drawing
        with _in_use:
            outer, _drawing = _drawing, threading.get_ident()
            _turns += 1
            before = global_states(self.devices)
            if self._states is None:
                self._start()
            else:
                set_global_states(self._states, self.devices)
            try:
                yield
            finally:
                self._states = global_states(self.devices)
                set_global_states(before, self.devices)
                _turns += 1
                _drawing = outer

    def _start(self) -> None:
        # Not torch.manual_seed, which would also seed the devices whose state is not restored.
        torch.default_generator.manual_seed(self.seed)
        for device in self.devices:
            fresh = torch.Generator(device).manual_seed(self.seed)
            _generator(device).set_rng_state(fresh.get_state(), device)
        np.random.seed(self.seed % 2**32)
        random.seed(self.seed)


_lock = threading.Lock()
_kept: dict[torch.device | None, tuple[int, Any]] = {}
"""By device, None for the generators of the CPU: how many threads keep the state, and what the first of them found."""


@contextmanager
def global_states_kept(devices: Devices = ()) -> Iterator[None]:
    """Restore the global generators on exit; of overlapping threads, the last restores what the first one found."""
    mine: dict[torch.device | None, tuple[int, Any]] = {}
    is_inside = False
    try:
        with _lock:
            for device in (None, *devices):
                users, state = _kept.get(device) or (0, _state(device))
                mine[device] = users + 1, state
            _kept.update(mine)  # in one step, so that a Ctrl-C comes before or after it
        is_inside = True
        yield
    finally:
        with _lock:
            if is_inside or all(_kept.get(device) is kept for device, kept in mine.items()):
                for device in mine:
                    _leave(device)


def _leave(device: torch.device | None) -> None:
    """One thread less keeps the state; the last one restores it."""
    users, state = _kept.pop(device)
    if users > 1:
        _kept[device] = users - 1, state
    elif device is not None:
        _generator(device).set_rng_state(state, device)
    elif not same_states(state, global_states()):
        set_global_states(state)


def _state(device: torch.device | None) -> Any:
    return global_states() if device is None else _generator(device).get_rng_state(device)


def _generator(device: torch.device) -> Any:
    """The module of torch that holds the state of a device's generator, or None."""
    module = getattr(torch, device.type, None)
    return module if hasattr(module, "get_rng_state") else None


def _forget() -> None:
    """After a fork, the threads that held the locks do not exist in the child."""
    global _in_use, _lock, _drawing
    _in_use, _lock, _drawing = threading.RLock(), threading.Lock(), None
    _kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
