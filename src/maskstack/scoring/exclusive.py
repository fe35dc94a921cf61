"""One explanation of a network at a time: threads that explain the same modules wait for each other.

An explanation switches modules to evaluation mode, freezes parameters and hangs hooks into layers. These are attributes
of the module itself, which all threads share, so the record of who uses it has to be shared as well.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from maskstack.errors import ModelError
from maskstack.scoring.reach import Reach

GRACE = 0.02
"""Seconds that a training step that is already under way in another thread gets before the network is frozen."""

_changed = threading.Condition(threading.RLock())
_owners: dict[int, tuple[int, int]] = {}
"""By the id of a module or parameter: the thread that uses it, and how many times."""
_waiting: dict[int, set[int]] = {}
"""By thread: the threads that it waits for."""


@contextmanager
def exclusive(found: Reach) -> Iterator[bool]:
    """Inside the context, no other thread explains any of the modules; the same thread can enter again.

    Yields:
        Whether this is the outermost use by this thread.

    Raises:
        ModelError: Two threads wait for each other's networks.
    """
    keys = [id(each) for each in (*found.modules, *found.parameters)]
    me = threading.get_ident()
    with _changed:
        while others := {_owners[key][0] for key in keys if key in _owners and _owners[key][0] != me}:
            if _waits_for(others, me):
                raise ModelError(
                    "two threads explain networks that each other holds; explain networks that share modules in one "
                    "thread, or in the same order"
                )
            _waiting[me] = others
            try:
                _changed.wait()
            finally:
                _waiting.pop(me, None)
        outermost = not any(key in _owners for key in keys)
        for key in keys:
            _owners[key] = (me, _owners.get(key, (me, 0))[1] + 1)
    try:
        yield outermost
    finally:
        with _changed:
            for key in keys:
                count = _owners[key][1] - 1
                if count:
                    _owners[key] = (me, count)
                else:
                    del _owners[key]
            _changed.notify_all()


def _waits_for(threads: set[int], me: int) -> bool:
    """Whether one of the threads waits for me, directly or through others."""
    seen: set[int] = set()
    while threads := threads - seen:
        if me in threads:
            return True
        seen |= threads
        threads = {other for thread in threads for other in _waiting.get(thread, ())}
    return False


class Gate:
    """A hook before a module's forward pass that lets other threads wait until the explanation is over.

    A training step in another thread would otherwise run on a frozen network in evaluation mode.
    """

    def __init__(self) -> None:
        self.owner = threading.get_ident()
        self.over = threading.Event()

    def __call__(self, _module: nn.Module, _inputs: Any) -> None:
        """Wait for the end of the explanation, unless this is its own thread."""
        if torch.compiler.is_compiling():
            return
        # Threads that Python did not start belong to autograd, which the explanation itself waits for.
        if threading.get_ident() != self.owner and not isinstance(threading.current_thread(), threading._DummyThread):
            self.over.wait()


@contextmanager
def gated(roots: Sequence[nn.Module]) -> Iterator[None]:
    """Inside the context, calls of these modules and of those inside them by other threads wait.

    This is only needed for networks in training mode. A part of a network may be trained on its own.
    """
    gate = Gate()
    training = [root for root in roots if any(each.training for each in root.modules())]
    inside = {id(each): each for root in training for each in root.modules()}
    closed = [each for each in inside.values() if isinstance(vars(each).get("_forward_pre_hooks"), dict)]
    for module in closed:
        module._forward_pre_hooks[id(gate)] = gate
    if closed and threading.active_count() > 1:
        time.sleep(GRACE)
    try:
        yield
    finally:
        for module in closed:
            module._forward_pre_hooks.pop(id(gate), None)
        gate.over.set()


def _forget() -> None:
    """After a fork, the threads that used the modules do not exist in the child."""
    global _changed
    _changed = threading.Condition(threading.RLock())
    _owners.clear()
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
