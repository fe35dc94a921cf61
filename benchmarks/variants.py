"""The variants of ``docs/choices.md``, by name: presets, settings that were compared with them, and other methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskstack import MDM
from maskstack.explainers.base import CostedExplainer
from maskstack.explainers.table import make_explainer
from maskstack.models import LoadedModel

LIVELY: Mapping[str, Any] = {
    "members": 5, "steps": 20, "learning_rate": 1.1, "damping": 0.0, "shift": 24 / 224, "smoothness": 0.05,
}  # fmt: skip
CALM: Mapping[str, Any] = {
    "learning_rate": 0.56, "slow_fine": 0.6, "removal_every": 4, "mask_weight": 2.0, "grid_blur": 0.0,
}  # fmt: skip

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "fast": {"preset": "fast"},
    "fast, rate 0.8": {"preset": "fast", "learning_rate": 0.8},
    "fine": {"preset": "fine"},
    "single": {"preset": "single"},
    "single, opened": {"preset": "single", "keep": 1.0},
    "blur 1 px": {"grid_blur": 1 / 224},
    "blur 1.5 px": {"grid_blur": 1.5 / 224},
    "5 of 20, blur 0": {**LIVELY, "grid_blur": 0.0},
    "5 of 20, blur 1 px": {**LIVELY, "grid_blur": 1 / 224},
    "slower": CALM,
}
"""Changes to the default; named sets of settings are compared with the default and with other methods."""


def explainer(name: str, net: LoadedModel, **changes: Any) -> CostedExplainer:
    """The explainer of a variant, or of a method of ``maskstack methods``."""
    return MDM(net, **{**VARIANTS[name], **changes}) if name in VARIANTS else make_explainer(name, net)
