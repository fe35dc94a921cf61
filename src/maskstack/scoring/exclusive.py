"""One explanation of a network at a time: threads that explain the same modules wait for each other.

An explanation switches modules to evaluation mode, freezes parameters and hangs hooks into layers. These are attributes
of the module itself, which all threads share, so the record of who uses it has to be shared as well.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from maskstack.errors import ModelError
from maskstack.scoring.reach import Reach

GRACE = 0.02
"""Seconds that a training step that is already under way in another thread gets before the network is frozen."""

PATIENCE = 10.0
"""Seconds that a call waits while the explanation calls no module; then the network itself is taken to need it."""

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
    mine: dict[int, tuple[int, int]] = {}
    outermost = is_inside = False
    try:
        with _changed:
            while others := {_owners[key][0] for key in keys if key in _owners and _owners[key][0] != me}:
                if _waits_for(others, me):
                    raise ModelError(
                        "two threads explain networks that each other holds; explain networks that share modules in "
                        "one thread, or in the same order"
                    )
                _waiting[me] = others
                try:
                    _changed.wait()
                finally:
                    _waiting.pop(me, None)
            outermost = not any(key in _owners for key in keys)
            mine = {key: (me, _owners.get(key, (me, 0))[1] + 1) for key in keys}
            _owners.update(mine)  # in one step, so that a Ctrl-C comes before or after it
        is_inside = True
        yield outermost
    finally:
        with _changed:
            if is_inside or all(_owners.get(key) == use for key, use in mine.items()):
                for key in mine:
                    count = _owners[key][1] - 1
                    if count:
                        _owners[key] = (me, count)
                    else:
                        del _owners[key]
                _changed.notify_all()


def wholly(work: Callable[[], None]) -> None:
    """Do what restores a network; again, if a Ctrl-C ends it in its midst.

    Args:
        work: Does the same when it is done twice.
    """
    try:
        work()
    except KeyboardInterrupt:
        work()
        raise


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

    A training step in another thread would otherwise run on a frozen network in evaluation mode. A network that runs
    parts of itself in threads would wait for itself: its calls are let through after :data:`PATIENCE`.
    """

    def __init__(self) -> None:
        self.owner = threading.get_ident()
        self.over = threading.Event()
        self.calls = 0
        self.is_open = False

    def __call__(self, module: nn.Module, _inputs: Any) -> None:
        """Wait for the end of the explanation, unless this is its own thread."""
        if torch.compiler.is_compiling():
            return
        if threading.get_ident() == self.owner:
            self.calls += 1
            return
        # Threads that Python did not start belong to autograd, which the explanation itself waits for; so do the
        # threads in which torch.nn.DataParallel runs its replicas.
        if isinstance(threading.current_thread(), threading._DummyThread) or getattr(module, "_is_replica", False):
            return
        while not self.is_open:
            seen = self.calls
            if self.over.wait(PATIENCE):
                return
            self.is_open = self.calls == seen


@contextmanager
def gated(roots: Sequence[nn.Module]) -> Iterator[None]:
    """Inside the context, calls of these modules and of those inside them by other threads wait.

    This is only needed for networks in training mode. A part of a network may be trained on its own.
    """
    gate = Gate()
    training = [root for root in roots if any(getattr(each, "training", False) for each in root.modules())]
    inside = {id(each): each for root in training for each in root.modules()}
    closed = [each for each in inside.values() if isinstance(vars(each).get("_forward_pre_hooks"), dict)]

    def put_away() -> None:
        for module in closed:
            module._forward_pre_hooks.pop(id(gate), None)
        gate.over.set()

    try:
        for module in closed:
            module._forward_pre_hooks[id(gate)] = gate
        if closed and threading.active_count() > 1:
            time.sleep(GRACE)
        yield
    finally:
        wholly(put_away)
    if gate.is_open:
        warnings.warn(
            f"the network is in training mode and runs parts of itself in threads, so these waited {PATIENCE:g} s; "
            "call eval() on it before it is explained",
            stacklevel=2,
        )


def _forget() -> None:
    """After a fork, the threads that used the modules do not exist in the child."""
    global _changed
    _changed = threading.Condition(threading.RLock())
    _owners.clear()
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
