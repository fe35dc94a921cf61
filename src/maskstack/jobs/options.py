"""The settings of a search as options to fill in, read from ``SearchSettings``, for the command line and the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from maskstack.errors import InputError
from maskstack.masks.settings import SearchSettings, setting_help

NOT_OFFERED = ("given",)
"""Choices that need a tensor, which only a program can give."""

Kind = Literal["flag", "whole", "real", "choice", "choices", "sizes"]


@dataclass(frozen=True)
class SearchOption:
    """One setting of a search.

    Attributes:
        name: Name of the field of ``SearchSettings``.
        kind: How a value is written: yes or no, a whole number, a number, a word, words with commas, or grid sizes.
        choices: The allowed words; empty if the value is not a word.
        default: The default of ``SearchSettings``.
        help: What it does.
    """

    name: str
    kind: Kind
    choices: tuple[str, ...]
    default: Any
    help: str

    def text(self, value: Any) -> str:
        """A value as it is written on the command line.

        >>> search_options()["sizes"].text(((4, 4), (4, 6)))
        '4,4x6'
        """
        if self.kind == "sizes":
            return ",".join(str(h) if h == w else f"{h}x{w}" for h, w in value)
        if self.kind == "choices":
            return ",".join(value)
        if self.kind == "flag":
            return "yes" if value else "no"
        return str(value)

    def read(self, value: Any) -> Any:
        """The value of the setting from the user's input: text with commas becomes a tuple, yes and no become a flag.

        Raises:
            InputError: Grid sizes are not whole numbers, a number is not a number, or a choice needs a tensor.
        """
        if self.kind == "flag" and isinstance(value, str):
            return value == "yes"
        if self.kind in ("whole", "real") and isinstance(value, str):
            return _number(self.name, value, int if self.kind == "whole" else float)
        if self.kind == "sizes" and isinstance(value, str):
            return tuple(_size(part) for part in value.split(","))
        if self.kind == "choices":
            parts: Sequence[str] = value.split(",") if isinstance(value, str) else value
            words = tuple(part.strip() for part in parts)
            for word in words:
                if word in NOT_OFFERED:
                    offered = ", ".join(self.choices)
                    raise InputError(f"{self.name} {word!r} needs an image that only a program can give; use {offered}")
            return words
        return value


def search_options() -> dict[str, SearchOption]:
    """All settings of a search, by name.

    >>> search_options()["speed"].choices
    ('auto', 'plain', 'half', 'compiled', 'half_compiled')
    """
    types, words = get_type_hints(SearchSettings), setting_help()
    found = {}
    for field in dataclasses.fields(SearchSettings):
        kind, choices = _kind(types[field.name])
        found[field.name] = SearchOption(field.name, kind, choices, field.default, words[field.name])
    return found


def read_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings from the user's input; options that are None are left out.

    Raises:
        InputError: Grid sizes are not whole numbers, or a choice needs a tensor.
    """
    options = search_options()
    return {name: options[name].read(value) for name, value in given.items() if value is not None}


def _kind(hint: Any) -> tuple[Kind, tuple[str, ...]]:
    if hint in (bool, int, float):
        kinds: dict[Any, Kind] = {bool: "flag", int: "whole", float: "real"}
        return kinds[hint], ()
    if get_origin(hint) is Literal:
        return "choice", get_args(hint)
    inner = get_args(hint)[0]  # a tuple of any length
    if get_origin(inner) is Literal:
        return "choices", tuple(word for word in get_args(inner) if word not in NOT_OFFERED)
    return "sizes", ()


def _number(name: str, text: str, kind: type[int] | type[float]) -> int | float:
    try:
        return kind(text.strip())
    except ValueError:
        raise InputError(f"{name} is {text!r}; write a {'whole ' if kind is int else ''}number") from None


def _size(text: str) -> tuple[int, int]:
    parts = text.strip().lower().split("x")
    try:
        numbers = [int(part) for part in parts]
        height, width = numbers * 2 if len(numbers) == 1 else numbers
    except ValueError:
        raise InputError(f"sizes has {text.strip()!r}; write whole numbers as 4,7,14 or pairs as 4x6,8x12") from None
    return height, width
