"""The short text that names a network: ``KIND[:NAME][,key=value|,flag...]``."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from maskstack.errors import InputError


@dataclass(frozen=True)
class Spec:
    """What a model spec says, in its parts.

    Attributes:
        text: The spec as it was given.
        kind: Where the network comes from, as ``timm``.
        name: Which one it is, as ``resnet18``; empty if none was given.
        options: Values of the keys.
        flags: Words that stand alone, as ``pretrained``.
    """

    text: str
    kind: str
    name: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()


def parse_spec(text: str) -> Spec:
    """Take a model spec apart; which kinds and keys there are is checked later.

    >>> spec = parse_spec("timm:resnet18,pretrained,size=256")
    >>> spec.kind, spec.name, dict(spec.options), sorted(spec.flags)
    ('timm', 'resnet18', {'size': '256'}, ['pretrained'])

    Raises:
        InputError: No kind, an empty part, a key without a value or given twice.
    """
    head, *parts = (part.strip() for part in text.split(","))
    kind, _, name = (part.strip() for part in head.partition(":"))
    if not kind:
        raise InputError(f"the model spec {text!r} names no kind; write KIND:NAME, as timm:resnet18")
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


def check_word(what: str, word: str, allowed: Collection[str]) -> None:
    """Refuse a word that is not among the allowed ones, and say which one may have been meant.

    >>> check_word("kind of model", "tim", ("timm", "onnx"))
    Traceback (most recent call last):
    maskstack.errors.InputError: 'tim' is no kind of model; did you mean timm? Allowed: timm, onnx

    Raises:
        InputError: The word is not allowed.
    """
    if word in allowed:
        return
    listed = ", ".join(allowed) or "none"
    raise InputError(f"{word!r} is no {what};{did_you_mean(word, allowed)} Allowed: {listed}")


def did_you_mean(word: str, allowed: Collection[str]) -> str:
    """A question naming the nearest of the allowed words, with a space before it, or nothing.

    >>> did_you_mean("resnet8", ["resnet18", "vgg11"])
    ' did you mean resnet18?'
    """
    near = difflib.get_close_matches(word, allowed, n=1)
    return f" did you mean {near[0]}?" if near else ""
