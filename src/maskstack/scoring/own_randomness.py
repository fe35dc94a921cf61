"""Networks that draw random numbers themselves: found out from their passes, and given a stream of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from maskstack.observing import seen_by
from maskstack.scoring.randomness import (
    Draws,
    RandomStream,
    States,
    global_states,
    only_torch_drew,
    same_states,
    set_global_states,
    turn_of_others,
)


class OwnRandomness:
    """Runs a network's passes, and lets its random numbers come from a stream if it draws any.

    A network that draws some, such as one with dropout that is always on, is known by the states of the global
    generators, which differ after a pass. The first pass runs on the stream. Later ones do so if the network draws. If
    it did not draw so far, they run as they are, and a pass that then draws is run again on the stream.

    Where other threads are alive, the difference may be theirs. Then one pass runs again under :class:`Draws`, which
    sees what its own thread draws by torch, and what it saw holds for all later passes.

    Args:
        stream: Where the network's random numbers come from.
        observable: Whether :class:`Draws` sees the network's operations, as it does unless they are compiled.

    Attributes:
        is_random: Whether the network draws random numbers; None before the first pass.
        runs_lost: Number of passes whose output was not used.
    """

    def __init__(self, stream: RandomStream, *, observable: bool) -> None:
        self.stream, self.observable = stream, observable
        self.is_random: bool | None = None
        self.runs_lost = 0
        self._draws: bool | None = None

    def run(self, one_pass: Callable[[], Any]) -> Any:
        """The output of a pass."""
        if self.is_random is False:
            turn, before = turn_of_others(), self._states()
            output = one_pass()
            after = self._states()
            # Numbers that another thread drew meanwhile say nothing about this network.
            if same_states(before, after) or turn is None or turn != turn_of_others():
                return output
            if self._may_be_others(before, after):
                if self._draws is None:
                    self._look(one_pass)
                    return self.run(one_pass)
                if not self._draws:
                    return output
            set_global_states(before, self.stream.devices)
            self.is_random = True
            self.runs_lost += 1
        with self.stream.drawn():
            if self.is_random:
                return one_pass()
            before = self._states()
            output = one_pass()
            after = self._states()
            self.is_random = not same_states(before, after)
            if self.is_random and self._may_be_others(before, after):
                self.is_random = self._look(one_pass)
                set_global_states(before, self.stream.devices)
                return one_pass()
            return output

    def _states(self) -> States:
        return global_states(self.stream.devices)

    def _may_be_others(self, before: States, after: States) -> bool:
        """Whether another thread may have drawn the numbers, and :class:`Draws` can tell."""
        return threading.active_count() > 1 and self.observable and only_torch_drew(before, after)

    def _look(self, one_pass: Callable[[], Any]) -> bool:
        """Observe whether the network itself draws random numbers; the pass that raised the question runs again."""
        self.runs_lost += 2
        draws = Draws()
        with seen_by(draws):  # its output may differ within rounding, so it is not used
            one_pass()
        self._draws = drew = bool(draws.seen)
        return drew
