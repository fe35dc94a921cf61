"""The attributes of a network's modules, to be put back as they were."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

_CONTAINERS = frozenset((dict, OrderedDict, defaultdict, list, deque, set))
"""Types whose contents are put back too; torch keeps parameters, buffers, submodules and hooks in them."""


@dataclass(frozen=True)
class Attributes:
    """A module's own attributes, and what those held that are containers.

    Attributes:
        own: The module's dictionary of attributes.
        values: A copy of it.
        contents: Each container among the values, and a copy of it.
    """

    own: dict[str, Any]
    values: dict[str, Any]
    contents: tuple[tuple[Any, Any], ...]

    @classmethod
    def of(cls, module: nn.Module) -> Attributes:
        """Note the attributes of a module; nothing is copied deeply."""
        values = dict(vars(module))
        # Most containers are empty, which takes no copy.
        found = tuple((each, each.copy() if each else ()) for each in values.values() if type(each) in _CONTAINERS)
        return cls(vars(module), values, found)

    def put_back(self) -> None:
        """Give each attribute its object again, remove new ones, and refill the containers."""
        for name in self.own.keys() - self.values.keys():
            del self.own[name]
        # The same objects, as the handles of hooks refer to their dictionary.
        for name, value in self.values.items():
            if name not in self.own or self.own[name] is not value:
                self.own[name] = value
        for container, content in self.contents:
            if (container or content) and not _same(container, content):
                container.clear()
                container.extend(content) if isinstance(container, list | deque) else container.update(content)


def _same(one: Any, other: Any) -> bool:
    """Whether two containers hold the same objects in the same order; tensors are not compared by their values."""
    if isinstance(one, set):
        return bool(one == other)
    return len(one) == len(other) and all(a is b for a, b in zip(_items(one), _items(other), strict=True))


def _items(container: Any) -> Iterable[Any]:
    return (each for pair in container.items() for each in pair) if isinstance(container, dict) else container
