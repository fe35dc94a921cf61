"""An explanation as HTML, for notebooks."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.draw.overlay import COLOURS

MOST, SIDE = 8, 160
"""Images shown, and pixels of the longer side of their maps: together well under :data:`MOST_BYTES`."""

MOST_BYTES = 400_000
"""Letters of the HTML of any explanation, so that a notebook that shows many stays small."""

LONGEST = 300
"""Letters of a line of words."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One image's map and the words under it.

    Attributes:
        saliency: H x W in [0, 1].
        title: What was explained.
        words: Lines under the map.
    """

    saliency: NDArray[np.float32]
    title: str
    words: Sequence[str]


def as_html(shown: Sequence[Shown], *, heading: str, more: int = 0) -> str:
    """Draw maps side by side, with words below each.

    Args:
        shown: The images; those after the first eight are only counted.
        heading: Line above.
        more: Images that are not among ``shown``.

    Returns:
        HTML that needs nothing beside it, at most :data:`MOST_BYTES` letters.
    """
    left = more + max(len(shown) - MOST, 0)
    figures = "".join(_figure(one) for one in shown[:MOST])
    rest = f"<p>and {left} more image{'' if left == 1 else 's'}</p>" if left else ""
    return (
        f'<div class="maskstack"><p><strong>{_text(heading)}</strong></p>'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px">{figures}</div>{rest}</div>'
    )


def _figure(one: Shown) -> str:
    lines = "".join(f"<div>{_text(line)}</div>" for line in one.words[:8])
    return (
        f'<figure style="margin:0;width:{SIDE}px"><img width="{SIDE}" alt="map of {_text(one.title)}" '
        f'src="data:image/png;base64,{_png(one.saliency)}"><figcaption style="font-size:12px">'
        f"<strong>{_text(one.title)}</strong>{lines}</figcaption></figure>"
    )


def _png(saliency: NDArray[np.float32]) -> str:
    grey = Image.fromarray((np.clip(saliency, 0, 1) * 255).round().astype(np.uint8))
    grey.thumbnail((SIDE, SIDE))
    colours = (matplotlib.colormaps[COLOURS](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    grey.putpalette(colours.tobytes())  # grey levels become colours, a byte a pixel
    file = io.BytesIO()
    grey.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _text(words: str) -> str:
    return html.escape(words if len(words) <= LONGEST else words[: LONGEST - 3] + "...", quote=True)
