"""The files of an explained photo: overlay, figure, animation, map and explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.draw.animation import animation
from maskstack.draw.pictures import save_png
from maskstack.explanation import Explanation
from maskstack.explanation.map_files import ENDINGS, write_map
from maskstack.explanation.naming import EXPLANATION, FIGURE, OVERLAY, masks_ending, with_ending
from maskstack.files import write_whole
from maskstack.jobs.targets import PhotoTarget

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


def result_files(request: ExplainRequest, path: Path) -> dict[str, Path]:
    """The files that a request writes for a map, by kind, the most useful to look at first.

    Args:
        request: The request.
        path: Path of the results, without the files' endings.
    """
    endings = {"overlay": OVERLAY, "figure": FIGURE}
    if request.animate:
        endings["animation"] = masks_ending(request.animate)
    if request.map_kind:
        endings["map"] = ENDINGS[request.map_kind]
    return {kind: with_ending(path, ending) for kind, ending in {**endings, "explanation": EXPLANATION}.items()}


def write_files(request: ExplainRequest, searched: Searched) -> dict[str, str]:
    """Draw an explanation and write its files: their paths by kind, the most useful to look at first.

    Raises:
        MaskstackError: The photo can no longer be read, or a file cannot be written.
    """
    explanation, files = searched.explanation, result_files(request, searched.target.path)
    # Opened again, so that no photo is held while others are searched for.
    picture = searched.seen or request.open_photo(searched.target.photo)
    drawn = explanation.overlay(picture, **request.drawing)
    figure = explanation.plot(picture, grids=request.grids, **request.drawing)
    write_whole(files["overlay"], partial(save_png, drawn))
    write_whole(files["figure"], partial(save_png, figure))
    figure.clear()  # its parts refer to each other, so Python would keep its pictures, some 10 MiB, for long
    if request.animate:
        content = animation(
            picture, searched.frames, steps=searched.steps, kind=request.animate, geometry=explanation.geometry[0]
        )
        write_whole(files["animation"], lambda file: file.write_bytes(content))
    if request.map_kind:
        write_map(files["map"], explanation.photo_map(), request.map_kind)
    # The readable file comes last: a photo that has it is finished.
    explanation.save(files["explanation"])
    return {kind: str(path) for kind, path in files.items()}
