"""Drawing a map over its photo."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.draw.pictures import as_picture
from maskstack.errors import InputError

COLOURS = "inferno"
"""Name of the colour map, which is perceptually uniform and readable without colour vision."""


def as_rgb(image: Any) -> NDArray[np.float32]:
    """An image as H x W x 3 floats in [0, 1].

    Args:
        image: PIL image, or array of H x W, H x W x 1 or H x W x 3; integers range to 255, floats to 1.

    Raises:
        InputError: The array has another shape.
    """
    if isinstance(image, Image.Image):
        image = image.convert("RGB")
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise InputError(f"the image has shape {np.shape(image)}; give H x W, H x W x 1 or H x W x 3")
    scale = 255.0 if np.issubdtype(array.dtype, np.integer) else 1.0
    return np.broadcast_to(np.clip(array / scale, 0, 1), (*array.shape[:2], 3)).astype(np.float32)


def overlay(image: Any, saliency: NDArray[np.float32], *, opacity: float = 0.85, colours: str = COLOURS) -> Image.Image:
    """Draw a map over its photo: the photo is grey and dark where the map is low, and coloured where it is high.

    Args:
        image: The photo, see :func:`as_rgb`.
        saliency: Map, H x W in [0, 1], of the photo's size.
        opacity: Opacity of the colour where the map is 1.
        colours: Name of a matplotlib colour map.

    Raises:
        InputError: The map does not have the photo's size.
    """
    photo = as_rgb(image)
    if saliency.shape != photo.shape[:2]:
        raise InputError(f"the map is {saliency.shape} and the photo {photo.shape[:2]}; they must have the same size")
    colour = matplotlib.colormaps[colours](saliency)[..., :3]
    share = np.clip(saliency, 0, 1)[..., None]
    grey = photo.mean(axis=2, keepdims=True)
    # The coloured part keeps the brightness of the photo, so that the marked object is visible.
    marked = colour * (0.35 + 0.65 * grey)
    blended = (1 - opacity * share) * (0.5 * photo + 0.25 * grey) + opacity * share * marked
    return as_picture(blended)
