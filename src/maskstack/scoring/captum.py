"""Captum's calling convention: inputs, targets and further arguments, and what its tools expect of a method."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

from maskstack.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")


def seen_by_captum(method: Callable[P, T]) -> Callable[P, T]:
    """Give a method the ``__wrapped__`` attribute of Captum's own methods, which its tools call."""

    @functools.wraps(method)
    def same(*args: P.args, **kwargs: P.kwargs) -> T:
        return method(*args, **kwargs)

    return same


def with_arguments(model: Callable[..., Any], arguments: Any) -> Callable[[Tensor], Any]:
    """The network with Captum's ``additional_forward_args`` filled in."""
    if arguments is None:
        return model
    more = arguments if isinstance(arguments, tuple) else (arguments,)
    return lambda images: model(images, *more)


def only_input(inputs: tuple[T, ...]) -> T:
    """Captum's tuple of inputs, of which a network that takes images has one.

    Raises:
        InputError: There are more, or none.
    """
    if len(inputs) != 1:
        raise InputError(f"{len(inputs)} inputs were given; maskstack explains networks of one input, the images")
    return inputs[0]


def read_target(target: Any) -> Any:
    """A target in Captum's convention as one of ours: lists of one-tuples are flattened.

    Raises:
        InputError: The target picks from an output of more than one dimension.
    """
    if isinstance(target, tuple):
        if len(target) == 1:
            return target[0]
        raise InputError(f"target {target} picks from a map; pass objectives.region or objectives.custom instead")
    if isinstance(target, list):
        return [read_target(item) for item in target]
    return target
