"""Pictures: pure functions from arrays to images and figures. They know no explanation and no network."""

from maskstack.draw.figure import explanation_figure
from maskstack.draw.overlay import as_rgb, overlay

__all__ = ["as_rgb", "explanation_figure", "overlay"]
