"""The files that the page offers to download: overlay, figure, explanation and Python code."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from maskstack.errors import InputError
from maskstack.explanation import Explanation
from maskstack.explanation.naming import EXPLANATION, FIGURE, OVERLAY
from maskstack.models import open_photo
from maskstack.web import panels
from maskstack.web.recipe import options_of, recipe
from maskstack.web.results import class_of, placed
from maskstack.web.saved import NETWORK, with_picture
from maskstack.web.sessions import PredictedPhoto, Session

LARGEST = 2400
"""Largest number of pixels of the longer side of the overlay, which the page holds as text."""


def file_panel(kind: str, predicted: PredictedPhoto, found: Explanation, session: Session, opacity: float) -> str:
    """A file to download: ``overlay``, ``figure``, ``explanation`` or ``python``.

    Raises:
        MaskstackError: There is no such file, or no Python code that makes the map of an explanation's file again.
    """
    stem = Path(predicted.name).stem or "photo"
    if kind == "overlay":
        drawn, note = overlay_file(predicted, found, opacity)
        files = panels.downloads([("Overlay (PNG)", stem + OVERLAY, panels.png_of(drawn), "image/png")])
        return files + panels.paragraph([note] if note else [])
    if kind == "figure":
        content = panels.png_of_figure(placed(predicted, found).plot(predicted.picture), dpi=120)
        return panels.downloads([("Figure (PNG)", stem + FIGURE, content, "image/png")])
    if kind == "explanation":
        kept = with_picture(found, predicted)
        with tempfile.TemporaryDirectory() as folder:
            content = kept.save(Path(folder) / "explanation.safetensors", readable=False).read_bytes()
        name = stem + EXPLANATION
        return panels.downloads([("Explanation (safetensors)", name, content, "application/octet-stream")])
    if kind != "python":
        raise InputError("this file is not offered here; choose one from the list")
    settings = _file_options(predicted, found) if predicted.opened else session.settings
    ended = int(found.steps[0].max()) if found.method == "mdm" else 0
    # Only its steps say whether the search of a file was stopped.
    stopped = session.stopped or (predicted.opened and ended != found.settings.get("steps"))
    lines = recipe(
        spec=predicted.net.spec,
        photo=predicted.name,
        preset=session.preset,
        settings=settings,
        target=found.target[0] if found.target else 0,
        name=class_of(predicted, found),
        stopped_after=ended if stopped else None,
        method=found.method,
    )
    return panels.downloads([("Python code", f"{stem}.py", lines.encode(), "text/x-python")]) + panels.code(lines)


def overlay_file(predicted: PredictedPhoto, found: Explanation, opacity: float) -> tuple[Image.Image, str]:
    """The overlay to download, and a sentence if it is smaller than the photo.

    Args:
        predicted: The photo.
        found: The explanation.
        opacity: Opacity of the colours.

    Returns:
        The overlay at the photo's own size, its longer side at most :data:`LARGEST`. Where the photo's own file is not
        on the page, or the preprocessing bends the photo, it is the overlay that the page shows.
    """
    small, place = predicted.picture, predicted.place
    if place is None or place.photo == (small.height, small.width):
        return placed(predicted, found).overlay(small, opacity=opacity), ""
    height, width = place.photo
    try:
        predicted.check_is_here()
        photo, why = open_photo(predicted.path, max_pixels=height * width), "maskstack explain draws more"
    except InputError as error:
        photo, why = small.copy(), str(error)
    photo.thumbnail((LARGEST, LARGEST))
    said = f"The overlay has {photo.width} x {photo.height} of the photo's {width} x {height} pixels: {why}."
    place = place.scaled((photo.height, photo.width))
    drawn = replace(found, geometry=(place,)).overlay(photo, opacity=opacity)
    return drawn, "" if photo.size == (width, height) else said


def _file_options(predicted: PredictedPhoto, found: Explanation) -> dict[str, Any]:
    """The options that a file's map was made with, see :func:`maskstack.web.recipe.options_of`."""
    spec, name = predicted.net.spec, predicted.model
    if (found.notes.get("model", spec), found.notes.get(NETWORK, name)) != (spec, name):
        raise InputError("there is no Python code for this map: its network is not the one on the page")
    return options_of(found, predicted.net)
