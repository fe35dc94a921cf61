"""What the page shows of a file that is more than a picture: a page of several, or grey values of more than 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from maskstack.draw.pictures import thumbnail, thumbnail_uri
from maskstack.web import panels
from maskstack.web.panels import Picture
from maskstack.web.sessions import PredictedPhoto

DRAWN = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")
"""Endings of files that browsers draw; of others, the page draws the photo."""

_SIDE = 420


def how_it_was_read(notes: Mapping[str, str]) -> str:
    """Which page of a file is used, and which values are black and white; empty if nothing was chosen.

    Args:
        notes: Metadata of an explanation.

    >>> how_it_was_read({"levels": "page 0 of pages 0 to 2 is used; choose another with page="})
    'How the file was read: page 0 of pages 0 to 2 is used; maskstack explain --page shows another.'
    """
    said = str(notes.get("levels", ""))
    # The page has no options; the command does.
    said = said.replace("choose another with page=", "maskstack explain --page shows another")
    said = said.replace("give a window such as 40/400", "use maskstack explain --window 40/400")
    return f"How the file was read: {said}." if said else ""


def browser_draws(path: Path) -> bool:
    """Whether browsers draw a file, by the ending of its name.

    >>> browser_draws(Path("cat.JPG")), browser_draws(Path("scan.dcm"))
    (True, False)
    """
    return path.suffix.lower() in DRAWN


def in_control(where: str, path: Path, photo: Image.Image | None = None) -> str:
    """A style that draws the photo in its control; empty for a file that the browser itself draws.

    Args:
        where: Selector of the control.
        path: The photo's file.
        photo: The photo; None as long as it is not read, and nothing is drawn.
    """
    if browser_draws(path):
        return ""
    return panels.photo_in(where, "" if photo is None else thumbnail_uri(photo.convert("RGB"), _SIDE))


def read_panel(predicted: PredictedPhoto) -> str:
    """The photo as it was read and how, before a search; empty for a photo that the browser itself shows the same."""
    said = how_it_was_read(predicted.notes)
    if not said and browser_draws(predicted.path):
        return ""
    shown = thumbnail(predicted.picture.convert("RGB"), _SIDE)
    return panels.pictures([Picture(panels.webp_of(shown), "the photo as it was read", said or predicted.name)])
