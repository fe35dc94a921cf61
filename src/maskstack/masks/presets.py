"""Settings with a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from maskstack import checks
from maskstack.masks.settings import SearchSettings

Preset = Literal["default", "fast", "fine", "single", "paper"]

SINGLE = SearchSettings(
    members=1,
    steps=80,
    shift=0.0,
    learning_rate=0.6,
    slow_fine=0.0,
    damping=0.0,
    mask_weight=2.0,
    removal=3.0,
    removal_every=2,
    smoothness=0.05,
    grid_blur=0.0,
    fill=("zero", "blur", "noise"),
    start=0.65,
    keep=0.0,
    patience=10,
)

PRESETS: Mapping[str, SearchSettings] = {
    "default": SearchSettings(),
    "fast": SearchSettings(members=2, steps=15, learning_rate=1.2),
    "fine": SearchSettings(members=10, steps=40, learning_rate=0.5),
    "single": SINGLE,
    "paper": SINGLE.with_(
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
"""``default``, ``fast`` and ``fine`` average several short searches and were chosen by measurements; ``single`` is one
long search, whose map is sharper and changes with the seed; ``paper`` follows the paper literally: each size alone, one
fill."""


def preset(name: str) -> SearchSettings:
    """The settings of that name in :data:`PRESETS`.

    Raises:
        InputError: There is no such preset.

    >>> preset("paper").joint
    False
    """
    checks.one_of("preset", name, tuple(PRESETS))
    return PRESETS[name]
