"""The keys of a model spec that say how a picture is prepared."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from maskstack.errors import InputError
from maskstack.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess, grey_normalisation
from maskstack.models.spec import check_word

NORMS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and std by name: ImageNet's, -1..1, and 0..1 as it is."""

PICTURE_KEYS = ("size", "crop", "norm", "mean", "std")
"""The keys :func:`adjusted` reads, apart from ``channels``."""


def adjusted(preprocess: Preprocess, options: Mapping[str, str]) -> Preprocess:
    """Change a preprocessing as the keys of a spec say.

    Args:
        preprocess: What the network's own configuration says.
        options: Of these are read: ``size`` (N or HxW), ``crop`` (the part of the resized picture that its centre crop
            keeps, or ``squash`` for the whole picture stretched to the size), ``channels`` (1 or 3), ``norm`` (a name
            of :data:`NORMS`), ``mean`` and ``std`` (one number, or one per channel as 0.5/0.4/0.3).

    Raises:
        InputError: A value that cannot be read, or values that do not fit each other.
    """
    channels = whole_number("channels", options["channels"]) if "channels" in options else preprocess.channels
    mean, std = preprocess.mean, preprocess.std
    if "norm" in options:
        check_word("norm", options["norm"], tuple(NORMS))
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


def read_size(text: str) -> tuple[int, int]:
    """Height and width from N or HxW.

    >>> read_size("224"), read_size("192x256")
    ((224, 224), (192, 256))

    Raises:
        InputError: It is neither, or beyond 8 to 8192.
    """
    match = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 8 <= min(size) <= max(size) <= 8192:
        raise InputError(f"size={text} is no size; write N or HxW with 8 to 8192, as size=224 or size=192x256")
    return size


def _read_crop(text: str) -> dict[str, Any]:
    if text == "squash":
        return {"share": 1.0, "squash": True}
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= 1:
            return {"share": float(text), "squash": False}
    raise InputError(f"crop={text} is no crop; write a share in (0, 1], as crop=0.875, or crop=squash")


def whole_number(key: str, text: str) -> int:
    """A whole number of 1 or more from the value of a key.

    Raises:
        InputError: It is none.
    """
    if not re.fullmatch(r"[1-9]\d{0,6}", text):
        raise InputError(f"{key}={text} is no whole number of 1 or more")
    return int(text)


def _numbers(key: str, text: str, channels: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split("/"))
    except ValueError as error:
        raise InputError(f"{key}={text} are no numbers; write them as {key}=0.5/0.4/0.3") from error
    return numbers * channels if len(numbers) == 1 else numbers
