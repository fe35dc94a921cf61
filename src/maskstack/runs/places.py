"""The places of names in a long list, found with a few bytes for each name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Places:
    """Finds the places of names in a list. It takes 16 bytes for each name, where a dictionary takes about 100.

    Args:
        names: The list, N different names. It is kept, not copied.

    >>> Places(["b", "a"])(["a", "c", "b"])
    array([ 1, -1,  0])
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        hashes = _hashes(names)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def __call__(self, wanted: Sequence[str]) -> NDArray[np.int64]:
        """The place of each name, -1 for a name that is not in the list."""
        first = np.searchsorted(self._hashes, _hashes(wanted))
        return np.fromiter(map(self._find, wanted, first.tolist()), np.int64, len(wanted))

    def _find(self, name: str, at: int) -> int:
        """The place of a name, from the first entry with its hash. Different names may have one hash."""
        while at < len(self._order) and self._hashes[at] == hash(name):
            place = int(self._order[at])
            if self._names[place] == name:
                return place
            at += 1
        return -1


def _hashes(names: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, names), np.int64, len(names))
