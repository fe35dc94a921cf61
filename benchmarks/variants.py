"""The variants of ``docs/choices.md``, by name: presets, settings that were compared with them, and other methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskstack import MDM
from maskstack.explainers.base import CostedExplainer
from maskstack.explainers.table import make_explainer
from maskstack.models import LoadedModel

COMMITTEE: Mapping[str, Any] = {
    "members": 4, "steps": 25, "learning_rate": 0.56, "slow_fine": 0.6, "start": 0.5, "removal": 2.0, "removal_every": 4,
    "mask_weight": 2.0, "smoothness": 0.1, "damping": 0.5, "shift": 16 / 224, "patience": 0, "keep": 1.0,
}  # fmt: skip
"""The committee that is varied below."""

SHARPER: Mapping[str, Any] = {
    **COMMITTEE,
    "learning_rate": 0.8,
    "slow_fine": 0.5,
    "removal_every": 3,
    "mask_weight": 2.5,
}
LIVELY: Mapping[str, Any] = {
    **SHARPER, "members": 5, "steps": 20, "learning_rate": 1.1, "damping": 0.0, "shift": 24 / 224, "smoothness": 0.05,
}  # fmt: skip

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "old": {"preset": "single"},
    "old opened": {"preset": "single", "keep": 1.0},
    "A": COMMITTEE,
    "A blur 2px": {**COMMITTEE, "grid_blur": 2 / 224, "slow_fine": 0.3},
    "M": {**SHARPER, "grid_blur": 2 / 224},
    "M 1px": {**SHARPER, "grid_blur": 1 / 224},
    "M 1.5px": {**SHARPER, "grid_blur": 1.5 / 224},
    "M 1px tv": {**SHARPER, "grid_blur": 1 / 224, "smoothness": 0.2},
    "F5": LIVELY,
    "F5 1px": {**LIVELY, "grid_blur": 1 / 224},
    "F5 2px": {**LIVELY, "grid_blur": 2 / 224},
}


def explainer(name: str, net: LoadedModel, **changes: Any) -> CostedExplainer:
    """The explainer of a variant, or of a method of ``maskstack methods``."""
    return MDM(net, **{**VARIANTS[name], **changes}) if name in VARIANTS else make_explainer(name, net)
