"""Pictures of kept maps where the reference does best, average and worst, so that losses are seen beside wins."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from PIL import Image

from maskstack.datasets import AnnotatedImages
from maskstack.draw import overlay
from maskstack.leaderboard.comparison import Comparison, is_control
from maskstack.leaderboard.images import load_for
from maskstack.leaderboard.request import Request
from maskstack.leaderboard.runs import Run
from maskstack.runs.store import Row
from maskstack.leaderboard.work import map_file
from maskstack.models import LoadedModel, load_model
from maskstack.errors import reason

EACH = 2
"""Images each of the best, the average and the worst."""
RIVALS = 4
_SIDE = 208
"""Longer side of a picture in pixels: the page holds dozens."""


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI; None where the method has no map of this image."""

    title: str
    alt: str
    uri: str | None


@dataclass(frozen=True)
class Strip:
    """An image with the maps of several methods."""

    why: str
    image: str
    quality: float
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """Pictures, or the sentence why there are none."""

    methods: tuple[str, ...] = ()
    strips: tuple[Strip, ...] = ()
    note: str | None = None


Photo = Callable[[str], Image.Image]
"""From an image's name to the picture the network saw."""


def gallery(comparison: Comparison, *, photos: Callable[[Run, str], Photo] | None = None) -> Gallery:
    """Pictures of a network's maps; whatever is out of reach by now is a sentence and no error.

    Args:
        comparison: Of the network.
        photos: Opens the images of a run as a network sees them.
    """
    network, reference = comparison.network, comparison.reference
    runs = [run for run in network.runs if (run.folder / "maps").is_dir()]
    chosen = _choose(comparison, runs)
    if not chosen:
        return Gallery(note="No maps were kept; run 'maskstack bench' with --maps to see pictures.")
    rivals = [method for method in comparison.methods if method != reference and not is_control(method)]
    images = [image for _, image, _ in chosen]
    shown = [method for method in rivals if any(_map(runs, network.model, method, image) for image in images)]
    methods = (reference, *shown[:RIVALS])
    opened: dict[Path, Photo] = {}
    strips = []
    try:
        for why, image, quality in chosen:
            run = next(run for run in runs if _file(run, network.model, reference, image).is_file())
            if run.folder not in opened:
                opened[run.folder] = (photos or open_photos)(run, network.model)
            photo = opened[run.folder](image)
            maps = [_map(runs, network.model, method, image) for method in methods]
            pictures = [_overlay(photo, file, method, image) for method, file in zip(methods, maps, strict=True)]
            seen = Picture("photo", f"the image {image} as the network saw it", _uri(photo))
            strips.append(Strip(why, image, quality, (seen, *pictures)))
    # The data may have moved, a package may be gone, a file may be damaged: the numbers stand without pictures.
    except Exception as error:
        return Gallery(note=f"Maps were kept, but the pictures cannot be drawn any more: {reason(error)}.")
    return Gallery(methods, tuple(strips))


def open_photos(run: Run, model: str) -> Photo:
    """The images of a run as one of its networks sees them.

    Raises:
        MaskstackError: The network or the data cannot be loaded any more.
    """
    about = {field.name: run.about[field.name] for field in fields(Request)}
    read: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}
    request = Request(**read)
    net: LoadedModel = load_model(run.specs[model])
    images: AnnotatedImages = load_for(request, net)
    by_name = {image.name: image for image in images}
    return lambda name: net.picture(net.preprocess(by_name[name].open()))


def _choose(comparison: Comparison, runs: Sequence[Run]) -> list[tuple[str, str, float]]:
    """The images to show: why, name and the reference's quality."""
    network, quality = comparison.network, comparison.network.quality
    if quality is None or not runs:
        return []
    own = quality[network.methods.index(comparison.reference)]
    there = [
        place
        for place in np.argsort(-own, kind="stable")
        if np.isfinite(own[place]) and _map(runs, network.model, comparison.reference, network.images[place])
    ]
    average = sorted(there, key=lambda place: abs(own[place] - own[there].mean()))
    chosen: dict[int, str] = {}
    for why, places in (("best", there), ("worst", there[::-1]), ("average", average)):
        for place in [place for place in places if place not in chosen][:EACH]:
            chosen[place] = why
    order = ("best", "average", "worst")
    return [
        (why, network.images[place], float(own[place]))
        for place, why in sorted(chosen.items(), key=lambda item: (order.index(item[1]), -own[item[0]]))
    ]


def _file(run: Run, model: str, method: str, image: str) -> Path:
    return map_file(run.folder, Row(model, method, image, "", "", None))


def _map(runs: Sequence[Run], model: str, method: str, image: str) -> Path | None:
    files = (_file(run, model, method, image) for run in runs)
    return next((file for file in files if file.is_file()), None)


def _overlay(photo: Image.Image, file: Path | None, method: str, image: str) -> Picture:
    if file is None:
        return Picture(method, "", None)
    saliency: NDArray[np.float32] = safetensors.numpy.load_file(file)["saliency"].astype(np.float32)
    return Picture(method, f"the map of {method} over {image}", _uri(overlay(photo, saliency)))


def _uri(picture: Image.Image) -> str:
    small = picture.copy()
    small.thumbnail((_SIDE, _SIDE))
    held = io.BytesIO()
    small.save(held, "WEBP", quality=78)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode()
