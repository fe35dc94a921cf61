"""Explanation files of the page: with a small picture of the photo, so that they can be shown again."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from maskstack.draw.pictures import encoded
from maskstack.errors import InputError, UncheckedWarning
from maskstack.explanation import Explanation
from maskstack.geometry import Geometry
from maskstack.jobs.targets import PHOTO_DIGEST
from maskstack.models import LoadedModel
from maskstack.web.sessions import SIDE, PredictedPhoto

PICTURE, PHOTO, NETWORK = "page_picture", "page_photo", "page_network"
"""Names of the notes that hold the small picture, the photo's file name and the network's name on the page."""

_LONGEST = 2_000_000  # Characters of a picture.


def with_picture(found: Explanation, predicted: PredictedPhoto) -> Explanation:
    """The explanation as ``maskstack explain`` saves it, with what the page needs to show it again in its notes.

    Args:
        found: The explanation.
        predicted: What it explains.
    """
    picture = base64.b64encode(encoded(predicted.picture.convert("RGB"), "WEBP", quality=80)).decode()
    notes = {**found.notes, PICTURE: picture, PHOTO: predicted.name, NETWORK: predicted.model}
    return replace(found, notes=dict(predicted.notes) | notes, geometry=found.geometry or (predicted.place,))


def open_saved(
    path: Path, name: str, network: str, get: Callable[[str], LoadedModel], current: PredictedPhoto | None
) -> tuple[PredictedPhoto, Explanation]:
    """Read an explanation file, and what it is drawn on.

    Args:
        path: The file.
        name: Its name on the user's machine.
        network: The network that the page shows, used if the file names none that is offered.
        get: Returns a network by its name.
        current: The photo that the page shows. If the file explains it, all that the page offers for it works;
            otherwise a file without a picture is drawn on it if it has the same size.

    Raises:
        InputError: The file is not an explanation of a photo, or is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncheckedWarning)
            found = Explanation.load(path).select(0)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error
    if found.saliency.ndim != 4:
        raise InputError(f"{name} explains a volume, which the page does not show; use maskstack explain")
    wanted = str(found.notes.get(NETWORK, network))
    try:
        net = get(wanted)
    except InputError:
        wanted, net = network, get(network)
    place = found.geometry[0] if found.geometry else None
    if current is not None and current.model == wanted and _explains(found, current):
        return replace(current, opened=True), found
    photo = _picture(found, name)
    if photo is None and current is not None and _fits(place, current):
        photo = current.photo
    height, width = place.photo if place is not None else tuple(found.saliency.shape[-2:])
    if photo is None:
        scale = min(1.0, SIDE / max(height, width))
        photo = Image.new("RGB", (max(round(width * scale), 1), max(round(height * scale), 1)), (128, 128, 128))
    if place is not None:
        place = place.scaled((photo.height, photo.width))
    elif photo.size != (width, height):
        photo = photo.resize((width, height))
    scores = found.score_before[:1]
    shown = str(found.notes.get(PHOTO) or found.notes.get("photo") or Path(name).stem)
    predicted = PredictedPhoto(shown, path, wanted, net, found.saliency[0], scores, photo, place)
    missing = "the file of this explanation does not name its photo; only its map can be shown"
    if PHOTO_DIGEST in found.notes:
        missing = (
            f"the photo of this explanation is not on the page; choose {shown} and the explained network, then open "
            "the file again"
        )
    return replace(predicted, opened=True, missing=missing), found


def _picture(found: Explanation, name: str) -> Image.Image | None:
    """The small picture of the photo; None if the file has none."""
    text = found.notes.get(PICTURE)
    if text is None:
        return None
    try:
        if len(str(text)) > _LONGEST:
            raise ValueError("the picture is too large")
        picture = Image.open(io.BytesIO(base64.b64decode(str(text), validate=True)), formats=("WEBP",))
        if max(picture.size) > 2 * SIDE:
            raise ValueError("the picture is too large")
        return picture.convert("RGB")
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"the picture in {name} is damaged; save the explanation again") from error


def _explains(found: Explanation, current: PredictedPhoto) -> bool:
    """Whether an explanation is of this photo and its network."""
    return (
        found.saliency.shape[-2:] == current.tensor.shape[-2:]
        and all(found.notes.get(name, "") == current.notes.get(name) for name in ("model", PHOTO_DIGEST))
        # Another page of the same file, or another window of its values, is another photo.
        and found.notes.get("levels") == current.notes.get("levels")
    )


def _fits(place: Geometry | None, current: PredictedPhoto) -> bool:
    """Whether the input of a network lies at the same place in this photo."""
    if place is None or current.geometry is None:
        return False
    same = current.geometry.scaled(place.photo)
    return same.size == place.size and _close(same.box, place.box)


def _close(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(abs(first - second) <= 2 for first, second in zip(one, other, strict=True))
