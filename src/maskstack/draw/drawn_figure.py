"""The figures of this package, which notebooks display."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

DPI = 110
"""Pixels of an inch of a displayed figure."""


class DrawnFigure(Figure):
    """A figure that is the last line of a notebook's cell is displayed.

    Notebooks display matplotlib's own figures only after pyplot was loaded, which this package does not do.
    """

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=DPI)
        return content.getvalue()
