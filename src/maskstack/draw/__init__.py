"""Drawing: pure functions from arrays to images, figures and HTML, independent of explanations and networks.

This package imports matplotlib, so other packages import it only when they draw.
"""

from maskstack.draw.figure import explanation_figure
from maskstack.draw.overlay import as_rgb, overlay

__all__ = ["as_rgb", "explanation_figure", "overlay"]
