"""The core of MDM: grids, fills, losses and the search over them. It has no code for particular networks."""

from maskstack.masks.presets import PRESETS, Preset, preset
from maskstack.masks.settings import SearchOptions, SearchSettings

__all__ = ["PRESETS", "Preset", "SearchOptions", "SearchSettings", "preset"]
