"""Figures of insertion and deletion curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskstack.draw.drawn_figure import DrawnFigure
from maskstack.draw.fonts import use_installed_fonts

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours that can be distinguished without colour vision (Okabe and Ito); the lines also differ in dashes."""

_DASHES = ("-", "--", ":", "-.")


def faithfulness_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, name: str = "score"
) -> Figure:
    """Draw insertion and deletion curves side by side, one line per method.

    Args:
        curves: Insertion and deletion curve of each method, at equal steps from none of the pixels to all.
        name: Name of the score.
    """
    figure = DrawnFigure(figsize=(5.6, 2.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, which, title in zip(axes, (0, 1), ("shown first (insertion)", "hidden first (deletion)"), strict=True):
        for index, (method, both) in enumerate(curves.items()):
            values = both[which]
            places = [100 * step / (len(values) - 1) for step in range(len(values))]
            colour, dash = COLOURS[index % len(COLOURS)], _DASHES[index % len(_DASHES)]
            axis.plot(places, values, dash, color=colour, label=method, linewidth=1.6)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("% of the pixels", fontsize=9)
        _plain(axis)
    axes[0].set_ylabel(name, fontsize=9, parse_math=False)
    for text in axes[1].legend(fontsize=8, frameon=False).get_texts():
        text.set_parse_math(False)
    use_installed_fonts(figure)
    return figure


def _plain(axis: Axes) -> None:
    axis.tick_params(labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
