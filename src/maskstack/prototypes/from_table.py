"""Dataclasses from the tables of a TOML file; errors name the table and the key."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from maskstack.checks import did_you_mean
from maskstack.errors import InputError

Made = TypeVar("Made")


def made(kind: type[Made], table: Any, where: str) -> Made:
    """A dataclass from a table. The types of its fields are checked, and tables within it become dataclasses too."""
    name = f"[{where}]" if where else "the configuration"
    if not isinstance(table, Mapping):
        raise InputError(f"{name} is not a table; write [{where}] and its keys below")
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            hint = did_you_mean(key, hints) or f" it has {', '.join(hints)}"
            raise InputError(f"{name} has no {key!r};{hint}")
    values = {key: _value(hints[key], value, f"{where}.{key}".strip(".")) for key, value in table.items()}
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{name}: {error}" if where else str(error)) from error
    except TypeError as error:
        lacking = [f.name for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING]  # type: ignore[arg-type]
        raise InputError(f"{name} lacks {' or '.join(sorted(set(lacking) - set(table)))}; add it") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return made(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and dataclasses.is_dataclass(get_args(hint)[0]):
        if not isinstance(value, list):
            raise InputError(f"{where} is {value!r:.60}; write each stage as [[{where}]]")
        return tuple(made(get_args(hint)[0], each, f"{where} {number}") for number, each in enumerate(value, start=1))
    if hint == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise InputError(f"{where} is {value!r:.60}; it must be a list of names")
        return tuple(value)
    if hint == Mapping[str, float] and not isinstance(value, Mapping):
        raise InputError(f"{where} is {value!r:.60}; write [{where}] and its keys below")
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if hint in (str, int, float, bool) and type(value) is not hint:
        names = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
        raise InputError(f"{where} is {value!r:.60}; it must be {names[hint]}")
    return value
