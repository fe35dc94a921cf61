"""Checks of options: each names the option, its value and what is allowed."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterable
from typing import Any

from maskstack.errors import InputError

LARGEST = 2**32 - 1
"""The largest whole number an option takes unless it says otherwise; seeds of numpy end here."""


def one_of(name: str, value: object, allowed: Collection[str]) -> None:
    """Check that an option is one of the allowed words.

    Raises:
        InputError: It is not; the message suggests the nearest word.

    >>> one_of("stack", "maen", ("mean", "geometric"))
    Traceback (most recent call last):
    maskstack.errors.InputError: stack is 'maen'; it must be one of mean, geometric (did you mean mean?)
    """
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}{nearest(str(value), allowed)}")


def did_you_mean(word: str, allowed: Collection[str]) -> str:
    """A question naming the nearest of the allowed words, with a space before it; empty if none is near.

    >>> did_you_mean("resnet8", ["resnet18", "vgg11"])
    ' did you mean resnet18?'
    """
    near = difflib.get_close_matches(word, allowed, n=1)
    return f" did you mean {near[0]}?" if near else ""


def nearest(word: str, allowed: Collection[str]) -> str:
    """The same question in brackets, for the end of a sentence that names what is allowed; empty if none is near.

    >>> nearest("resnet8", ["resnet18", "vgg11"])
    ' (did you mean resnet18?)'
    """
    guess = did_you_mean(word, allowed).strip()
    return f" ({guess})" if guess else ""


def known_options(method: str, options: Iterable[str], allowed: Collection[str]) -> None:
    """Check that a method has these options, because a misspelt one would be left out in silence.

    Raises:
        InputError: It does not have one of them.
    """
    for name in options:
        if name not in allowed:
            raise InputError(
                f"the method {method} has no option {name!r}; it has {', '.join(allowed)}{nearest(name, allowed)}"
            )


def whole(name: str, value: object, *, least: int, most: int = LARGEST) -> None:
    """Check that an option is a whole number in a range.

    Raises:
        InputError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}; it must be a whole number from {least} to {most}")


def real(name: str, value: object, low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> None:
    """Check that an option is a number in a range, whose ends may be excluded.

    Raises:
        InputError: It is not a number, or it is NaN or out of the range.
    """
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, int | float):
        # Written so that NaN, which compares with nothing, is out of every range.
        ok = ok and (low < value if open_low else low <= value) and (value < high if open_high else value <= high)
    if not ok:
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise InputError(f"{name} is {value!r}; it must be a number in {left}{low:g}, {high:g}{right}")


def share(name: str, value: object, *, zero: bool = False, one: bool = False) -> None:
    """Check that an option is a number between 0 and 1.

    Args:
        name: The option's name.
        value: Its value.
        zero: Whether 0 itself is allowed.
        one: Whether 1 itself is allowed.

    Raises:
        InputError: It is not a number, or it is out of the range.
    """
    real(name, value, 0, 1, open_low=not zero, open_high=not one)


def flag(name: str, value: object) -> None:
    """Check that an option is True or False.

    Raises:
        InputError: It is not.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; it must be True or False")


def several(name: str, value: Any, single: type) -> tuple[Any, ...]:
    """An option's values as a tuple, even if a single value was given.

    Raises:
        InputError: There is no value.
    """
    values = (value,) if isinstance(value, single) else value
    if not isinstance(values, list | tuple) or not values:
        raise InputError(f"{name} is {value!r}; give at least one in a list or tuple")
    return tuple(values)


def distinct(what: str, names: Collection[str]) -> None:
    """Check that a list of names has at least one, each once.

    Args:
        what: What is named.
        names: The names.

    Raises:
        InputError: The list is empty, or a name is given twice.
    """
    if not names:
        raise InputError(f"no {what} is given; name at least one")
    if len(set(names)) < len(names):
        raise InputError(f"a {what} is named twice in {', '.join(names)}; name each once")


def check_name(name: str) -> None:
    """Check that the name of a file can be written as text.

    Raises:
        InputError: Its bytes are not UTF-8, or the locale reads names in another encoding.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        read = sys.getfilesystemencoding()
        remedy = "rename it" if read == "utf-8" else f"names are read as {read}, so set PYTHONUTF8=1 or rename it"
        raise InputError(f"the name of the file {name!a} is not valid text; {remedy}") from error
