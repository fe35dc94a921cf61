"""The figure of one explanation: one row of photo, region, masked photo, map and spread, with the verdict above."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from maskstack.draw.badges import sign_of, sign_picture
from maskstack.draw.overlay import COLOURS, Style, bounded, overlay
from maskstack.geometry import Geometry

SIDE, BAR, GAP, LINE = 3.0, 0.14, 0.12, 0.2
"""Sizes in inches: longer side of a panel, width of a colour bar, gap, and height of a line of text."""

MOST_SIDE = 1000
"""Largest number of pixels of a panel's longer side; a larger photo is drawn smaller in a figure."""

SPREAD_COLOURS = "cividis"


@dataclass(frozen=True, kw_only=True)
class Caption:
    """The words of a figure.

    Attributes:
        title: What is explained, such as the class and its probability.
        word: The verdict: ``reliable``, ``doubtful`` or ``do not use``; empty if there is none.
        sentence: One sentence that says why.
        region: Text above the region, such as its share of the photo.
        masked: Text above the masked photo, such as what the region keeps.
    """

    title: str = ""
    word: str = ""
    sentence: str = ""
    region: str = "region"
    masked: str = "the region alone"


def explanation_figure(
    image: Any,
    *,
    saliency: NDArray[np.float32],
    geometry: Geometry | None = None,
    region: NDArray[np.bool_] | None = None,
    core: NDArray[np.bool_] | None = None,
    spread: NDArray[np.float32] | None = None,
    masks: NDArray[np.float32] | None = None,
    sizes: Sequence[tuple[int, int]] = (),
    caption: Caption | None = None,
    style: Style = "contour",
    opacity: float | None = None,
    colours: str = COLOURS,
) -> Figure:
    """Draw an explanation in one row: photo, region, masked photo, map with its bar and spread of the members.

    Args:
        image: The photo, or the image that the network sees, see :func:`maskstack.draw.overlay.overlay`.
        saliency: Map of the network's input, H x W in [0, 1].
        geometry: Where the network's input lies in the photo; None if it is the whole image at its own size.
        region: The region, H x W; where the map is at least half of its maximum if not given.
        core: An inner part of the region, H x W.
        spread: Standard deviation of the members' masks, H x W; None for a single member.
        masks: Masks of each size for a second row, S x H x W in [0, 1]; None leaves the row out.
        sizes: Height and width of each grid, in cells.
        caption: The words.
        style: Style of the panel with the region.
        opacity: Opacity of its colours.
        colours: Name of a matplotlib colour map.

    Returns:
        A matplotlib figure without a window; ``figure.savefig`` writes it with panels of the photo's own resolution,
        but at most :data:`MOST_SIDE` pixels.

    Raises:
        InputError: The sizes do not fit, or an option cannot be used.
    """
    words = caption or Caption()
    photo, place = bounded(image, saliency, geometry, MOST_SIDE)
    options: dict[str, Any] = {
        "geometry": place, "region": region, "core": core, "word": words.word, "badge": False,
    }  # fmt: skip
    marked = overlay(photo, saliency, style=style, opacity=opacity, colours=colours, **options)
    alone = overlay(photo, saliency, style="masked", **options)
    shown = np.ma.masked_invalid(place.carry_back(saliency, outside=np.nan))
    panels: list[Panel] = [
        Panel("photo", _as_rgba(photo)),
        Panel(words.region, _as_rgba(marked)),
        Panel(words.masked, _as_rgba(alone)),
        Panel("map", shown, colours, 1.0),
    ]
    if spread is not None:
        most = max(float(spread.max()), 1e-3)
        carried = np.ma.masked_invalid(place.carry_back(spread, outside=np.nan))
        panels.append(Panel("spread of the members", carried, SPREAD_COLOURS, most))
    rows = [panels]
    if masks is not None and len(masks):
        rows.append(
            [
                Panel(f"{h} x {w} cells", np.ma.masked_invalid(place.carry_back(mask, outside=np.nan)), colours, 1.0)
                for (h, w), mask in zip(sizes, masks, strict=True)
            ]
        )
    return _laid_out(rows, words, place.photo)


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a figure.

    Attributes:
        title: Text above it.
        pixels: H x W x 4 bytes, or a map, H x W.
        colours: Colour map of a map, which gets a bar; empty for a picture.
        most: The map's value at the end of the bar.
    """

    title: str
    pixels: Any
    colours: str = ""
    most: float = 1.0


def _as_rgba(picture: Image.Image) -> NDArray[np.uint8]:
    """A picture as H x W x 4 bytes, which matplotlib draws faster than H x W x 3."""
    return np.asarray(picture.convert("RGBA"))


def _laid_out(rows: Sequence[Sequence[Panel]], words: Caption, size: tuple[int, int]) -> Figure:
    """Place the panels by hand: automatic layouts ignore the shapes of the images."""
    height, width = size
    wide, tall = (SIDE * side / max(height, width) for side in (width, height))
    cell = max(wide, 1.3)
    across = GAP + max(sum(_step(panel, cell) for panel in panels) for panels in rows)
    characters = max(round(across * 11), 30)
    title = textwrap.wrap(words.title, round(characters * 0.8)) if words.title else []
    sentence = textwrap.wrap(words.sentence, characters) if words.sentence else []
    head = LINE * 1.3 * len(title) + LINE * 1.1 * len(sentence) + LINE * 1.7 * bool(words.word) + GAP
    titles = [max(len(_wrapped(panel, cell)) for panel in panels) * LINE for panels in rows]
    down = head + sum(each + tall + 1.5 * GAP for each in titles)
    figure = Figure(figsize=(across, down), dpi=min(max(max(height, width) / SIDE, 110.0), MOST_SIDE / SIDE))
    y = _heading(figure, words, title, sentence)
    for panels, text in zip(rows, titles, strict=True):
        y, x = y + text + GAP / 2, GAP
        for panel in panels:
            axis = figure.add_axes((x / across, 1 - (y + tall) / down, wide / across, tall / down))
            _draw(axis, panel, "\n".join(_wrapped(panel, cell)))
            if panel.colours:
                bar = figure.add_axes(((x + wide + 0.05) / across, 1 - (y + tall) / down, BAR / across, tall / down))
                scale = ScalarMappable(Normalize(0, panel.most), panel.colours)
                figure.colorbar(scale, cax=bar, ticks=[0, panel.most / 2, panel.most], format="%.2g")
                bar.tick_params(labelsize=7, length=2, pad=1)
            x += _step(panel, cell)
        y += tall + GAP
    return figure


def _step(panel: Panel, cell: float) -> float:
    """Width in inches of a panel with its bar and the gap after it."""
    return cell + GAP + (BAR + 0.4) * bool(panel.colours)


def _wrapped(panel: Panel, cell: float) -> list[str]:
    return textwrap.wrap(panel.title, round(cell * 14))


def _heading(figure: Figure, words: Caption, title: Sequence[str], sentence: Sequence[str]) -> float:
    """Write the verdict, the title and the sentence; the result is the height that they take, in inches."""
    across, down = figure.get_size_inches()
    y, left = GAP, GAP / across
    style: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    if words.word:
        side = LINE * 1.4
        axis = figure.add_axes((left, 1 - (y + side) / down, side / across, side / down))
        axis.imshow(np.asarray(sign_picture(sign_of(words.word), 96, back=(255, 255, 255))))
        axis.set_axis_off()
        figure.text((GAP + side * 1.25) / across, 1 - (y + side / 2) / down, words.word,
                    **(style | {"va": "center"}), fontsize=14, fontweight="bold")  # fmt: skip
        y += LINE * 1.7
    for line in title:
        figure.text(left, 1 - y / down, line, **style, fontsize=12)
        y += LINE * 1.3
    for line in sentence:
        figure.text(left, 1 - y / down, line, **style, fontsize=10)
        y += LINE * 1.1
    return y


def _draw(axis: Axes, panel: Panel, title: str) -> None:
    axis.set_axis_off()
    # aspect: the place has the photo's shape, up to the rounding of pixels.
    if panel.colours:
        axis.imshow(panel.pixels, cmap=panel.colours, vmin=0, vmax=panel.most, aspect="auto")
    else:
        axis.imshow(panel.pixels, aspect="auto")
    # With a y of its own, matplotlib need not measure ticks that are not drawn.
    axis.set_title(title, fontsize=9, loc="left", pad=3, y=1.0, parse_math=False)
