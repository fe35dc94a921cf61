"""Further arguments of a network, some with a row for each image."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskstack.errors import InputError


@dataclass(frozen=True)
class Arguments:
    """What a network is called with besides the images.

    Tensors and arrays, also inside lists, tuples and mappings, have one row for each image, or one row for all. Numbers
    without a dimension and everything else are the same for all images.

    Attributes:
        positional: Arguments after the images.
        named: Keyword arguments.
    """

    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.positional or self.named)

    def bind(self, images: int, device: torch.device) -> Arguments:
        """Check the number of rows, and move tensors to the network's device.

        Args:
            images: Number of images.
            device: Where the network is.

        Raises:
            InputError: A tensor has neither one row nor one for each image.
        """

        def checked(rows: Any, name: str) -> Any:
            if rows.ndim and len(rows) not in (1, images):
                raise InputError(
                    f"{name} has {len(rows)} rows for {images} image{'' if images == 1 else 's'}; give one row for "
                    "each image; what is the same for all images belongs into a function: "
                    "lambda images: network(images, table)"
                )
            return rows.to(device) if isinstance(rows, Tensor) else rows

        positional = tuple(
            _mapped(value, checked, f"the network's further argument {number}")
            for number, value in enumerate(self.positional, start=1)
        )
        return Arguments(
            positional, {name: _mapped(value, checked, f"the argument {name}") for name, value in self.named.items()}
        )

    def select(self, rows: Tensor) -> Arguments:
        """The arguments of these images; rows for all images are repeated.

        Args:
            rows: Index of the image, P.
        """

        def taken(values: Any, _name: str) -> Any:
            if not values.ndim:
                return values
            which = torch.zeros_like(rows) if len(values) == 1 else rows
            return values[which.to(values.device)] if isinstance(values, Tensor) else values[which.cpu().numpy()]

        return Arguments(_mapped(self.positional, taken, ""), _mapped(dict(self.named), taken, ""))


def _mapped(value: Any, change: Callable[[Any, str], Any], name: str) -> Any:
    """The value with each tensor and array in it changed; lists, tuples and mappings keep their type."""
    if isinstance(value, Tensor | np.ndarray):
        return change(value, name)
    if isinstance(value, Mapping):
        return _with_values(value, {key: _mapped(each, change, name) for key, each in value.items()})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(each, change, name) for each in value))
    if isinstance(value, list | tuple):
        return type(value)(_mapped(each, change, name) for each in value)
    return value


def _with_values(mapping: Mapping[Any, Any], values: dict[Any, Any]) -> Mapping[Any, Any]:
    """A copy of a mapping with other values for its keys; a dictionary where its type cannot be copied so."""
    # Without a copy of its own, the copy of another type may share the place where the values are held.
    if type(mapping) is dict or not (isinstance(mapping, dict) or hasattr(type(mapping), "__copy__")):
        return values
    try:
        copied: Any = copy.copy(mapping)
        attributes = getattr(copied, "__dict__", {})
        for key, each in values.items():
            if key in attributes and attributes[key] is mapping[key]:
                attributes[key] = each
            copied[key] = each
    # Whatever the user's type raises, its values can be passed.
    except Exception:
        return values
    return copied  # type: ignore[no-any-return]


@dataclass(frozen=True)
class WithArguments:
    """A network that needs more than the images, see :func:`with_arguments`."""

    model: Any
    arguments: Arguments


def with_arguments(model: Any, *positional: Any, **named: Any) -> WithArguments:
    """A network with further arguments, which every method explains like any network.

    Args:
        model: The network: called with the images, then these arguments.
        *positional: Tensors with a row for each image (a table, a second image, a text embedding), or with one row for
            all images; everything else is passed as it is.
        **named: The same, as keyword arguments.

    >>> import torch
    >>> network = lambda images, ages: images.mean(dim=(2, 3)) + ages
    >>> from maskstack import MDM
    >>> mdm = MDM(with_arguments(network, torch.tensor([[50.0], [61.0]])), sizes=2, steps=2)
    >>> mdm(torch.rand(2, 3, 8, 8), 1).saliency.shape
    torch.Size([2, 1, 8, 8])
    """
    if isinstance(model, WithArguments):
        before = model.arguments
        positional, named = (*before.positional, *positional), {**before.named, **named}
        model = model.model
    return WithArguments(model, Arguments(positional, named))
