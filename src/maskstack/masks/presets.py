"""Settings with a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from maskstack import checks
from maskstack.masks.settings import SearchSettings

Preset = Literal["default", "fast", "fine", "paper"]

PRESETS: Mapping[str, SearchSettings] = {
    "default": SearchSettings(),
    "fast": SearchSettings(steps=30, learning_rate=0.9, start=0.5, removal=2.0, removal_every=3),
    "fine": SearchSettings(steps=200, learning_rate=0.3),
    "paper": SearchSettings(
        sizes=((4, 4), (7, 7), (14, 14), (28, 28)),
        joint=False,
        steps=100,
        learning_rate=0.1,
        start=0.5,
        mask_weight=1.0,
        smoothness=0.0,
        removal_every=0,
        stack="mean",
        fill=("zero",),
        patience=20,
    ),
}
"""``default`` was chosen by measurements; ``fast`` takes fewer and larger steps, ``fine`` more and smaller ones;
``paper`` follows the paper literally: each size alone, one fill."""


def preset(name: str) -> SearchSettings:
    """The settings of that name in :data:`PRESETS`.

    Raises:
        InputError: There is no such preset.

    >>> preset("paper").joint
    False
    """
    checks.one_of("preset", name, tuple(PRESETS))
    return PRESETS[name]
