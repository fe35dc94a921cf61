"""The text that names a network, ``KIND[:NAME][,key=value|,flag...]``, and the keys that change its preprocessing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from maskstack import checks
from maskstack.errors import InputError
from maskstack.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess, grey_normalisation

NORMS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and std by name: ImageNet's; half, which scales to -1..1; unit, which keeps 0..1."""

PICTURE_KEYS = ("size", "crop", "norm", "mean", "std")
"""Keys that :func:`adjusted` uses, apart from ``channels``."""


@dataclass(frozen=True)
class Spec:
    """The parts of a model spec.

    Attributes:
        text: The spec as it was given.
        kind: Where the network comes from, such as ``timm``.
        name: Name of the network, such as ``resnet18``; empty if none was given.
        options: Values by their keys.
        flags: Words without a value, such as ``pretrained``.
    """

    text: str
    kind: str
    name: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()


def parse_spec(text: str) -> Spec:
    """Split a model spec into its parts. Whether its kind and keys exist is checked later.

    >>> spec = parse_spec("timm:resnet18,pretrained,size=256")
    >>> spec.kind, spec.name, dict(spec.options), sorted(spec.flags)
    ('timm', 'resnet18', {'size': '256'}, ['pretrained'])

    Raises:
        InputError: The kind is missing, a part is empty, or a key has no value or is given twice.
    """
    head, *parts = (part.strip() for part in text.split(","))
    kind, _, name = (part.strip() for part in head.partition(":"))
    if not kind:
        raise InputError(f"the model spec {text!r} names no kind; write KIND:NAME, such as timm:resnet18")
    options: dict[str, str] = {}
    flags: set[str] = set()
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key or (equals and not value):
            raise InputError(f"the model spec {text!r} has an empty part {part!r}; write key=value or a flag")
        if key in options or key in flags:
            raise InputError(f"the model spec {text!r} gives {key} twice; give it once")
        if equals:
            options[key] = value
        else:
            flags.add(key)
    return Spec(text, kind, name, options, frozenset(flags))


def adjusted(preprocess: Preprocess, options: Mapping[str, str]) -> Preprocess:
    """Change a preprocessing as the keys of a spec say.

    Args:
        preprocess: The preprocessing of the network's own configuration.
        options: Values by key. These keys are used: ``size`` (N or HxW), ``crop`` (the part of the resized image that
            the centre crop keeps, or ``squash`` for the whole image stretched to the size), ``channels``,
            ``norm`` (a name of :data:`NORMS`), ``mean`` and ``std`` (one number, or one per channel, such as
            0.5/0.4/0.3).

    Raises:
        InputError: A value cannot be read, or values contradict each other.
    """
    channels = whole_number("channels", options["channels"]) if "channels" in options else preprocess.channels
    mean, std = preprocess.mean, preprocess.std
    if channels not in (1, 3) and channels != preprocess.channels:
        mean, std = (0.0,) * channels, (1.0,) * channels
    if "norm" in options:
        checks.one_of("norm", options["norm"], tuple(NORMS))
        mean, std = NORMS[options["norm"]]
    if channels == 1:
        mean, std = grey_normalisation(mean), grey_normalisation(std)
    changes: dict[str, Any] = {"channels": channels, "mean": mean, "std": std}
    for key in ("mean", "std"):
        if key in options:
            changes[key] = _numbers(key, options[key], channels)
    if "size" in options:
        changes["size"] = read_size(options["size"])
    if "crop" in options:
        changes |= _read_crop(options["crop"])
    return replace(preprocess, **changes)


def assumed_norm(options: Mapping[str, str]) -> str:
    """A sentence that says that the normalisation is the default, for networks that do not say their own.

    >>> assumed_norm({"norm": "half"}), assumed_norm({"mean": "0.5", "std": "0.5"})
    ('', '')
    """
    if "norm" in options or {"mean", "std"} <= options.keys():
        return ""
    return (
        "norm= was not given, so the input is normalised as for ImageNet; if this is right, add norm=imagenet to the "
        "spec, otherwise norm=half (-1 to 1), norm=unit (0 to 1), or mean= and std="
    )


def read_size(text: str) -> tuple[int, int]:
    """Height and width from the text N or HxW.

    >>> read_size("224"), read_size("192x256")
    ((224, 224), (192, 256))

    Raises:
        InputError: The text has another form, or a side is not from 8 to 8192.
    """
    match = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 8 <= min(size) <= max(size) <= 8192:
        raise InputError(f"size={text} is not a size; write N or HxW with 8 to 8192, such as size=224 or size=192x256")
    return size


def _read_crop(text: str) -> dict[str, Any]:
    if text == "squash":
        return {"share": 1.0, "squash": True}
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= 1:
            return {"share": float(text), "squash": False}
    raise InputError(f"crop={text} is not a crop; write a number in (0, 1], such as crop=0.875, or crop=squash")


def whole_number(key: str, text: str) -> int:
    """A whole number of 1 or more from the value of a key.

    Raises:
        InputError: The value is something else.
    """
    if not re.fullmatch(r"[1-9]\d{0,6}", text):
        raise InputError(f"{key}={text} is not a whole number of 1 or more")
    return int(text)


def _numbers(key: str, text: str, channels: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split("/"))
    except ValueError as error:
        raise InputError(f"{key}={text} is not a list of numbers; write {key}=0.5/0.4/0.3") from error
    return numbers * channels if len(numbers) == 1 else numbers
