"""Captum's calling convention: inputs, targets and further arguments, and what its tools expect of a method."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from maskstack import checks
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


def check_options(options: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Check the options of ``attribute`` that masks do not have.

    Raises:
        InputError: One is given that would be ignored.
    """
    for name, value in options.items():
        if name == "return_convergence_delta":
            if value:
                raise InputError("masks have no convergence delta; leave out return_convergence_delta")
        elif name not in _HARMLESS:
            hint = checks.did_you_mean(name, known) or f" it has {', '.join(known)}"
            raise InputError(f"attribute has no option {name!r};{hint}")


_HARMLESS = ("show_progress", "perturbations_per_eval", "internal_batch_size")
"""Options of Captum's methods that do not change what is attributed."""


class CaptumAttribution:
    """A base class by which Captum's ``isinstance(method, Attribution)`` holds, without importing Captum.

    Captum's class is not abstract, so no other class can be registered with it. Its import takes long and is not needed
    otherwise. So ``__class__`` is a subclass of both classes once Captum has been imported by somebody else; the type
    stays as it is.
    """

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        captum = sys.modules.get("captum.attr")
        kind = getattr(captum, "Attribution", None)
        own: Any = type(self)
        return own if kind is None else _both(own, kind)

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        # pickle's own way compares the type with __class__.
        return _empty, (type(self),), self.__dict__


@functools.cache
def _both(own: type, captums: type) -> type:
    return type(own.__name__, (own, captums), {"__module__": own.__module__, "__doc__": own.__doc__})


def _empty(kind: type) -> Any:
    return object.__new__(kind)
