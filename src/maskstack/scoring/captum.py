"""Captum's calling convention: inputs, targets and further arguments, and what its tools expect of a method."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from maskstack.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")


def seen_by_captum(method: Callable[P, T]) -> Callable[P, T]:
    """Give a method the ``__wrapped__`` attribute that Captum's own methods have and Captum's tools call."""

    @functools.wraps(method)
    def same(*args: P.args, **kwargs: P.kwargs) -> T:
        return method(*args, **kwargs)

    return same


def only_input(inputs: tuple[T, ...]) -> T:
    """The single input in Captum's tuple of inputs: the images.

    Raises:
        InputError: The tuple has no input, or more than one.
    """
    if len(inputs) != 1:
        raise InputError(f"{len(inputs)} inputs were given; give one, the images")
    return inputs[0]


def read_target(target: Any) -> Any:
    """Convert a target from Captum's convention to that of this package: lists of one-tuples are flattened.

    Raises:
        InputError: The target has more than one index per image.
    """
    if isinstance(target, tuple):
        if len(target) == 1:
            return target[0]
        raise InputError(
            f"target {target} has several indices per image; give one class, or an objective of maskstack.objectives"
        )
    if isinstance(target, list):
        return [read_target(item) for item in target]
    return target
