"""The files of an explained photo: overlay, figure, animation, map and explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.draw.animation import animation
from maskstack.draw.pictures import save_png
from maskstack.explanation import Explanation
from maskstack.explanation.map_files import ENDINGS, write_map
from maskstack.files import write_whole
from maskstack.jobs.naming import EXPLANATION, FIGURE, OVERLAY, masks_ending, with_ending
from maskstack.jobs.photos import PhotoTarget

if TYPE_CHECKING:
    from maskstack.jobs.explain import ExplainRequest


@dataclass(frozen=True, eq=False)
class Searched:
    """An explanation that is to be drawn.

    Attributes:
        target: The photo and its class.
        explanation: The explanation.
        seen: The picture that the network sees, where it has no place in the photo; otherwise None.
        frames: Step and stacked masks, H x W, for an animation.
        steps: Maximum number of steps of the search.
    """

    target: PhotoTarget
    explanation: Explanation
    seen: Image.Image | None = None
    frames: Sequence[tuple[int, NDArray[np.float32]]] = ()
    steps: int = 1


def write_files(request: ExplainRequest, searched: Searched) -> dict[str, str]:
    """Draw an explanation and write its files: their paths by kind, the most useful to look at first.

    Raises:
        MaskstackError: The photo can no longer be read, or a file cannot be written.
    """
    path, explanation = searched.target.path, searched.explanation
    # Opened again, so that no photo is held while others are searched for.
    picture = searched.seen or request.open_photo(searched.target.photo)
    drawn = explanation.overlay(picture, **request.drawing)
    figure = explanation.plot(picture, grids=request.grids, **request.drawing)
    files = {
        "overlay": write_whole(with_ending(path, OVERLAY), partial(save_png, drawn)),
        "figure": write_whole(with_ending(path, FIGURE), partial(save_png, figure)),
    }
    if request.animate:
        content = animation(
            picture, searched.frames, steps=searched.steps, kind=request.animate, geometry=explanation.geometry[0]
        )
        place = with_ending(path, masks_ending(request.animate))
        files["animation"] = write_whole(place, lambda file: file.write_bytes(content))
    if request.map_kind:
        place = with_ending(path, ENDINGS[request.map_kind])
        files["map"] = write_map(place, explanation.photo_map(), request.map_kind)
    # The readable file comes last: a photo that has it is finished.
    files["explanation"] = explanation.save(with_ending(path, EXPLANATION))
    return {kind: str(path) for kind, path in files.items()}
