"""Pictures of kept maps on the images where the reference is best, average and worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskstack.draw.overlay import overlay
from maskstack.draw.pictures import thumbnail_uri
from maskstack.errors import reason
from maskstack.leaderboard.comparison import Comparison, is_control
from maskstack.leaderboard.record import RunRecord
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import find_map, read_map
from maskstack.models import LoadedModel, check_spec_from_file, load_model
from maskstack.runs.folder import RECORD

EACH = 2
"""Number of images of each kind: best, average and worst."""
OTHERS = 4
"""Number of methods that are shown besides the reference."""
_SIDE = 208
"""Longer side of a picture in pixels; a page holds dozens of pictures."""


@dataclass(frozen=True)
class MapPicture:
    """A picture as a data URI; None if the method has no map of this image."""

    title: str
    alt: str
    uri: str | None


@dataclass(frozen=True)
class GalleryLine:
    """An image with the maps of several methods."""

    why: str
    image: str
    quality: float
    pictures: tuple[MapPicture, ...]


@dataclass(frozen=True)
class MapGallery:
    """Pictures, or a sentence that says why there are none."""

    methods: tuple[str, ...] = ()
    lines: tuple[GalleryLine, ...] = ()
    note: str | None = None


Photo = Callable[[str], Image.Image]
"""From an image's name to the picture that the network saw."""


def gallery(
    comparison: Comparison, *, photos: Callable[[RunRecord, str], Photo] | None = None, allow_code: bool = False
) -> MapGallery:
    """Pictures of a network's maps. If they can no longer be drawn, the result is a sentence and not an error.

    Args:
        comparison: The comparison on the network.
        photos: Opens the images of a run as a network sees them.
        allow_code: Whether a run may name code as its network, which is then run.
    """
    network, reference = comparison.network, comparison.reference
    runs = [run for run in network.runs if (run.folder / "maps").is_dir()]
    chosen = _choose(comparison, runs)
    if runs and network.quality is None:
        return MapGallery(
            note="Pictures are chosen by insertion minus deletion, which was not measured; run 'maskstack bench' with "
            "the metrics faithfulness to see some."
        )
    if not chosen:
        return MapGallery(note="No maps were kept; run 'maskstack bench' with --maps to see pictures.")
    others = [method for method in comparison.methods if method != reference and not is_control(method)]
    images = [image for _, image, _ in chosen]
    shown = [method for method in others if any(_map(runs, network.model, method, image) for image in images)]
    methods = (reference, *shown[:OTHERS])
    opened: dict[Path, Photo] = {}
    lines = []
    try:
        for why, image, quality in chosen:
            run = next(run for run in runs if find_map(run.folder, network.model, reference, image) is not None)
            if run.folder not in opened:
                opened[run.folder] = (photos or partial(open_photos, allow_code=allow_code))(run, network.model)
            photo = opened[run.folder](image)
            maps = [_map(runs, network.model, method, image) for method in methods]
            pictures = [_overlay(photo, file, method, image) for method, file in zip(methods, maps, strict=True)]
            seen = MapPicture("photo", f"the image {image} as the network saw it", thumbnail_uri(photo, _SIDE))
            lines.append(GalleryLine(why, image, quality, (seen, *pictures)))
    # The data may have moved, a package may be missing, a file may be damaged: the report then has no pictures.
    except Exception as error:
        return MapGallery(note=f"Maps were kept, but the pictures cannot be drawn: {reason(error)}.")
    return MapGallery(methods, tuple(lines))


def open_photos(run: RunRecord, model: str, *, allow_code: bool = False) -> Photo:
    """The images of a run as one of its networks sees them.

    Args:
        run: The run.
        model: Name of the network.
        allow_code: Whether the run may name code as its network, which is then run.

    Raises:
        MaskstackError: The network or the data cannot be loaded any more.
    """
    about = {field.name: run.about[field.name] for field in fields(BenchRequest)}
    read: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}
    request = BenchRequest(**read)
    spec = check_spec_from_file(run.specs[model], run.folder / RECORD, allow_code=allow_code)
    net: LoadedModel = load_model(spec)
    by_name = {image.name: image for image in request.images_for(net)}
    return lambda name: net.picture(net.preprocess(by_name[name].open()))


def _choose(comparison: Comparison, runs: Sequence[RunRecord]) -> list[tuple[str, str, float]]:
    """The images to show: kind, name and the reference's quality."""
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


def _map(runs: Sequence[RunRecord], model: str, method: str, image: str) -> Path | None:
    files = (find_map(run.folder, model, method, image) for run in runs)
    return next((file for file in files if file is not None), None)


def _overlay(photo: Image.Image, file: Path | None, method: str, image: str) -> MapPicture:
    if file is None:
        return MapPicture(method, "", None)
    drawn = overlay(photo, read_map(file))
    return MapPicture(method, f"the map of {method} over {image}", thumbnail_uri(drawn, _SIDE))
