"""The core of MDM: grids, fills, losses and the search over them. It knows no network by name."""

from maskstack.masks.presets import PRESETS, preset
from maskstack.masks.settings import SearchSettings

__all__ = ["PRESETS", "SearchSettings", "preset"]
