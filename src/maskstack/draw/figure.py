"""The figure of one explanation: photo, overlay, masked photo and, if masks were learned, stack and masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from maskstack.draw.overlay import COLOURS, as_rgb, overlay


def explanation_figure(
    image: Any,
    *,
    masks: NDArray[np.float32],
    sizes: Sequence[tuple[int, int]],
    stack: NDArray[np.float32],
    saliency: NDArray[np.float32],
    title: str = "",
) -> Figure:
    """Draw the result of a mask search in two rows: photo, overlay, masked photo and stack, then the masks.

    The map of a method without masks is drawn in a single row: photo, overlay and masked photo.

    Args:
        image: The image that the network sees, see :func:`maskstack.draw.overlay.as_rgb`.
        masks: Masks, S x H x W in [0, 1]; S is 0 for a method without masks.
        sizes: Height and width of each grid, in cells.
        stack: The unscaled mask for the masked photo, H x W in [0, 1].
        saliency: Map, H x W in [0, 1].
        title: Line above the figure.

    Returns:
        A matplotlib figure without a window; ``figure.savefig`` writes it.
    """
    photo = as_rgb(image)
    top: list[tuple[str, NDArray[np.float32], bool]] = [
        ("photo", photo, False),
        ("overlay", as_rgb(overlay(photo, saliency)), False),
        (f"masked, area {stack.mean():.0%}", photo * stack[..., None], False),
    ]
    if len(masks):
        top.append(("stack", saliency, True))
    bottom = [(f"{h} x {w}, area {mask.mean():.0%}", mask, True) for (h, w), mask in zip(sizes, masks, strict=True)]
    rows = [top, bottom] if bottom else [top]
    columns = max(len(panels) for panels in rows)
    aspect = photo.shape[0] / photo.shape[1]
    figure = Figure(figsize=(2.3 * columns, len(rows) * (2.3 * aspect + 0.35) + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, panels in enumerate(rows):
        for column in range(columns):
            axis = axes[row, column]
            axis.set_axis_off()
            if column < len(panels):
                name, panel, is_map = panels[column]
                axis.imshow(panel, cmap=COLOURS if is_map else None, vmin=0, vmax=1)
                axis.set_title(name, fontsize=9)
    return figure
