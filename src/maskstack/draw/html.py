"""An explanation as HTML for notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.typing import NDArray

from maskstack.draw.badges import sign_of
from maskstack.draw.contours import draw_contour
from maskstack.draw.overlay import COLOURS
from maskstack.draw.pictures import as_picture, data_uri, encoded
from maskstack.geometry import Geometry

MOST, SIDE = 8, 160
"""Largest number of images, and longer side of their maps in pixels; together far below :data:`MOST_BYTES`."""

MOST_BYTES = 400_000
"""Largest number of characters of the HTML, so that notebooks with many explanations stay small."""

LONGEST = 300
"""Largest number of characters of a line."""


@dataclass(frozen=True, eq=False)
class MapPanel:
    """The map of one image with the text below it.

    Attributes:
        saliency: Map, H x W in [0, 1].
        title: Name of what was explained.
        words: Lines of text below the map.
        verdict: The verdict, which is shown with its sign; empty if there is none.
        region: The region, H x W, which gets an outline; None if there is none.
    """

    saliency: NDArray[np.float32]
    title: str
    words: Sequence[str]
    verdict: str = ""
    region: NDArray[np.bool_] | None = None


def as_html(panels: Sequence[MapPanel], *, heading: str, more: int = 0) -> str:
    """Draw maps side by side, with text below each.

    Args:
        panels: The maps; those after the first :data:`MOST` are only counted.
        heading: Line above the maps.
        more: Number of images that are not among ``panels``.

    Returns:
        Self-contained HTML of at most :data:`MOST_BYTES` characters.
    """
    left = more + max(len(panels) - MOST, 0)
    figures = "".join(_figure(panel) for panel in panels[:MOST])
    rest = f"<p>and {left} more image{'' if left == 1 else 's'}</p>" if left else ""
    return (
        f'<div class="maskstack"><p><strong>{_text(heading)}</strong></p>'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px">{figures}</div>{rest}</div>'
    )


def _figure(panel: MapPanel) -> str:
    lines = "".join(f"<div>{_text(line)}</div>" for line in panel.words[:8])
    badge = f'<div style="margin:2px 0">{_badge(panel.verdict)}</div>' if panel.verdict else ""
    return (
        f'<figure style="margin:0;width:{SIDE}px"><img width="{SIDE}" alt="map of {_text(panel.title)}" '
        f'src="{_png(panel)}"><figcaption style="font-size:12px">{badge}'
        f"<strong>{_text(panel.title)}</strong>{lines}</figcaption></figure>"
    )


def _badge(verdict: str) -> str:
    sign = sign_of(verdict)
    red, green, blue = sign.colour
    return (
        f'<span style="background:#141414;color:#fff;padding:1px 6px;border-radius:3px"><span aria-hidden="true" '
        f'style="color:rgb({red},{green},{blue})">{sign.letter}</span> <strong>{_text(verdict)}</strong></span>'
    )


def _png(panel: MapPanel) -> str:
    grey = as_picture(panel.saliency)
    height, width = panel.saliency.shape
    place = Geometry.whole((height, width))
    grey.thumbnail((SIDE, SIDE))
    colours = (matplotlib.colormaps[COLOURS](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    grey.putpalette(colours.tobytes())  # Grey values become colours with one byte per pixel.
    if panel.region is not None:
        outlined = grey.convert("RGB")
        draw_contour(outlined, panel.region, place.scaled((grey.height, grey.width)))
        grey = outlined.quantize(256)
    return data_uri(encoded(grey, "PNG", optimize=True), "image/png")


def _text(words: str) -> str:
    return html.escape(words if len(words) <= LONGEST else words[: LONGEST - 3] + "...", quote=True)
