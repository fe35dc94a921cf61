"""Specs with a name of the caller's own: ``NAME=SPEC``."""

from __future__ import annotations

from maskstack.models.kinds import KINDS


def named_spec(text: str) -> tuple[str, str]:
    """Name and spec of ``NAME=SPEC``; of a mere spec, it is its own name.

    >>> named_spec("small net=timm:resnet18,pretrained"), named_spec("bundled,size=256")
    (('small net', 'timm:resnet18,pretrained'), ('bundled,size=256', 'bundled,size=256'))
    """
    head, equals, spec = text.partition("=")
    first = head.partition(",")[0].strip()
    if not equals or not head.strip() or ":" in head or first in KINDS:
        return text, text
    return head.strip(), spec.strip()
