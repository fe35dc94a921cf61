"""The figure of one explanation: one row of photo, region, masked photo, map and spread, with the verdict above."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image
from rich.cells import cell_len

from maskstack.draw.badges import sign_of, sign_picture
from maskstack.draw.drawn_figure import DrawnFigure
from maskstack.draw.fonts import use_installed_fonts
from maskstack.draw.overlay import COLOURS, Style, bounded, coloured, enlarged, overlay
from maskstack.geometry import Geometry

SIDE, BAR, TICK, GAP, LINE = 3.0, 0.14, 0.03, 0.12, 0.2
"""Sizes in inches: longer side of a panel, width of a colour bar, length of its ticks, gap, height of a text line."""

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
        but at least :data:`maskstack.draw.overlay.LEAST_SIDE` and at most :data:`MOST_SIDE` pixels. Its only axes are
        the whole sheet, in inches from the top left corner; ``figure.axes[0].images`` are its pictures, each with its
        title as its label.

    Raises:
        InputError: The sizes do not fit, or an option cannot be used.
    """
    words = caption or Caption()
    photo, place = enlarged(*bounded(image, saliency, geometry, MOST_SIDE))
    options: dict[str, Any] = {
        "geometry": place, "region": region, "core": core, "word": words.word, "badge": False,
    }  # fmt: skip
    marked = overlay(photo, saliency, style=style, opacity=opacity, colours=colours, **options)
    alone = overlay(photo, saliency, style="masked", **options)
    panels = [
        Panel("photo", _as_rgba(photo)),
        Panel(words.region, _as_rgba(marked)),
        Panel(words.masked, _as_rgba(alone)),
        _map("map", saliency, place, colours),
    ]
    if spread is not None:
        panels.append(_map("spread of the members", spread, place, SPREAD_COLOURS, most=max(float(spread.max()), 1e-3)))
    rows = [panels]
    if masks is not None and len(masks):
        rows.append([_map(f"{h} x {w} cells", mask, place, colours) for (h, w), mask in zip(sizes, masks, strict=True)])
    return _laid_out(rows, words, place.photo)


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a figure.

    Attributes:
        title: Text above it.
        pixels: H x W x 4 bytes.
        colours: Colour map of a map, which gets a bar; empty for a picture.
        most: The map's value at the end of the bar.
    """

    title: str
    pixels: NDArray[np.uint8]
    colours: str = ""
    most: float = 1.0


Box = tuple[float, float, float, float]
"""Left, top, width and height, in inches."""


def _as_rgba(picture: Image.Image) -> NDArray[np.uint8]:
    """A picture as H x W x 4 bytes, which matplotlib draws faster than H x W x 3, and than numbers."""
    return np.asarray(picture.convert("RGBA"))


def _map(title: str, values: NDArray[np.float32], place: Geometry, colours: str, *, most: float = 1.0) -> Panel:
    """A panel with a map in the photo's frame, transparent where the network saw nothing."""
    picture = coloured(place.carry_back(values) / most, colours)
    seen = Image.new("L", picture.size, 0)
    seen.paste(255, place.seen())
    picture.putalpha(seen)
    return Panel(title, np.asarray(picture), colours, most)


def _laid_out(rows: Sequence[Sequence[Panel]], words: Caption, size: tuple[int, int]) -> Figure:
    """Place the panels by hand: automatic layouts ignore the shapes of the images."""
    height, width = size
    wide, tall = (SIDE * side / max(height, width) for side in (width, height))
    cell = max(wide, 1.3)
    across = GAP + max(sum(_step(panel, cell) for panel in panels) for panels in rows)
    characters = max(round(across * 11), 30)
    # Letters of some scripts are twice as wide as others.
    letters = characters * 0.8 * len(words.title) / max(cell_len(words.title), 1)
    title = textwrap.wrap(words.title, round(letters)) if words.title else []
    sentence = textwrap.wrap(words.sentence, characters) if words.sentence else []
    head = LINE * 1.3 * len(title) + LINE * 1.1 * len(sentence) + LINE * 1.7 * bool(words.word) + GAP
    titles = [max(len(_wrapped(panel, cell)) for panel in panels) * LINE for panels in rows]
    down = head + sum(each + tall + 1.5 * GAP for each in titles)
    figure = DrawnFigure(figsize=(across, down), dpi=min(max(max(height, width) / SIDE, 110.0), MOST_SIDE / SIDE))
    sheet = _sheet(figure)
    y = _heading(sheet, words, title, sentence)
    for panels, text in zip(rows, titles, strict=True):
        y, x = y + text + GAP / 2, GAP
        for panel in panels:
            _draw(sheet, panel, "\n".join(_wrapped(panel, cell)), (x, y, wide, tall))
            x += _step(panel, cell)
        y += tall + GAP
    use_installed_fonts(figure)
    return figure


def _sheet(figure: Figure) -> Axes:
    """One coordinate system for the whole figure: inches from its top left corner.

    It takes much less time than one for each panel.
    """
    across, down = figure.get_size_inches()
    sheet = figure.add_axes((0, 0, 1, 1))
    sheet.set_axis_off()
    sheet.set_xlim(0, across)
    sheet.set_ylim(down, 0)
    return sheet


def _step(panel: Panel, cell: float) -> float:
    """Width in inches of a panel with its bar and the gap after it."""
    return cell + GAP + (BAR + 0.4) * bool(panel.colours)


def _wrapped(panel: Panel, cell: float) -> list[str]:
    return textwrap.wrap(panel.title, round(cell * 14))


def _heading(sheet: Axes, words: Caption, title: Sequence[str], sentence: Sequence[str]) -> float:
    """Write the verdict, the title and the sentence; the result is the height that they take, in inches."""
    y = GAP
    if words.word:
        side = LINE * 1.4
        sign = sign_picture(sign_of(words.word), 96, back=(255, 255, 255))
        _place(sheet, _as_rgba(sign), (GAP, y, side, side))
        _write(sheet, GAP + side * 1.25, y + side / 2, words.word, 14, va="center", fontweight="bold")
        y += LINE * 1.7
    for line in title:
        _write(sheet, GAP, y, line, 12, va="top")
        y += LINE * 1.3
    for line in sentence:
        _write(sheet, GAP, y, line, 10, va="top")
        y += LINE * 1.1
    return y


def _draw(sheet: Axes, panel: Panel, title: str, box: Box) -> None:
    """Draw a panel with its title, and the bar of a map."""
    x, y, wide, tall = box
    _write(sheet, x, y - 0.04, title, 9, va="baseline")
    _place(sheet, panel.pixels, box, label=panel.title)
    if panel.colours:
        _draw_bar(sheet, panel, (x + wide + 0.05, y, BAR, tall))


def _draw_bar(sheet: Axes, panel: Panel, box: Box) -> None:
    """Draw the colours of a map from 0, at the bottom, to its highest value."""
    x, y, wide, tall = box
    _place(sheet, _as_rgba(coloured(np.linspace(1, 0, 256, dtype=np.float32)[:, None], panel.colours)), box)
    sheet.add_patch(Rectangle((x, y), wide, tall, fill=False, linewidth=0.8))
    # The outer words stay beside the bar, and so out of the panel's title. A low bar has no place for all of them.
    ticks = [(1.0, "top"), (0.0, "baseline"), (0.5, "center_baseline")]
    for share, inwards in ticks[: max(1, min(3, int(tall / (0.7 * LINE))))]:
        right, level = x + wide, y + tall * (1 - share)
        sheet.plot((right, right + TICK), (level, level), color="black", linewidth=0.8)
        _write(sheet, right + 1.5 * TICK, level, f"{panel.most * share:.2g}", 7, va=inwards)


def _place(sheet: Axes, pixels: NDArray[np.uint8], box: Box, **options: Any) -> None:
    x, y, wide, tall = box
    sheet.imshow(pixels, extent=(x, x + wide, y + tall, y), aspect="auto", **options)


def _write(sheet: Axes, x: float, y: float, words: str, size: float, **style: Any) -> None:
    sheet.text(x, y, words, fontsize=size, ha="left", parse_math=False, **style)
