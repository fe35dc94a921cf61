"""The work of ``maskstack gallery``: explain photos under several networks or methods, then draw the table."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from PIL import Image

from maskstack.draw.gallery import MOST_SIDE, GalleryCell, gallery_figure
from maskstack.draw.pictures import thumbnail
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explainers.table import make_explainer, parse_method
from maskstack.explanation import Explanation
from maskstack.explanation.naming import EXPLANATION, GALLERY, file_part, free_name, with_ending
from maskstack.explanation.view import NOT_MEASURED, shown
from maskstack.files import write_whole
from maskstack.jobs.choosing import predict, top_count, warn_of_network
from maskstack.jobs.machine import check_writable, pick_device
from maskstack.jobs.photos import PhotosRequest
from maskstack.jobs.progress import JobReporter
from maskstack.jobs.targets import JUDGED_BY, PhotoExplainer, PhotoTarget, finished_before, report_finished
from maskstack.models import LoadedModel, load_model, named_spec, said_of
from maskstack.models.timing import expected_seconds
from maskstack.models.weights import weights_digest
from maskstack.runs.folder import locked
from maskstack.scoring.trust import trust

DPI = 110

LONGEST = 30_000
"""Maximum pixels of the gallery's longer side; a larger gallery is scaled down, because viewers cannot open it."""


@dataclass(frozen=True, kw_only=True)
class GalleryRequest(PhotosRequest):
    """What to explain, and how.

    Attributes:
        models: Specs of the networks, each ``SPEC`` or ``NAME=SPEC``.
        methods: Methods, each a name with options as :func:`make_explainer` reads it; MDM alone if there is none. MDM
            under its plain name has the request's preset and settings.
        title: Title of the gallery.
    """

    models: tuple[str, ...] = ("bundled",)
    methods: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """A network of the gallery, explained by one method.

    Attributes:
        name: Name of the row: of the network, of the method, or of both.
        spec: Model spec of the network.
        net: The network.
        weights: Digest of its weights.
        explainer: The method for the network.
        targets: For each photo, the class to explain.
        todo: The targets that are not finished.
    """

    name: str
    spec: str
    net: LoadedModel
    weights: str
    explainer: PhotoExplainer
    targets: list[PhotoTarget]
    todo: list[PhotoTarget]


def make_gallery(request: GalleryRequest, reporter: JobReporter) -> Path:
    """Explain photos under several networks and draw the gallery; all input is checked before the first search.

    Returns:
        Path of the gallery.

    Raises:
        MaskstackError: The request cannot be carried out, or another process writes to the folder.
    """
    with contextlib.ExitStack() as reserved:
        return _make_gallery(request, reporter, reserved)


def _make_gallery(request: GalleryRequest, reporter: JobReporter, reserved: contextlib.ExitStack) -> Path:
    photos = [(file, thumbnail(photo, MOST_SIDE)) for file, photo in request.open_photos(reporter.warn)]
    files = [file for file, _ in photos]
    device = pick_device(request.device)
    specs = _named(request.models)
    methods = _methods(request.methods)
    if top_count(request.target) not in (None, 1):
        raise InputError(
            f"--target {request.target} asks for several classes, but a gallery shows one; give top1 or a class"
        )
    taken: set[str] = set()
    rows = []
    for name, spec in specs.items():
        rows += _rows(request, name, spec, methods, files, taken, device, reporter)
    if len(specs) == 1 and len(methods) > 1:
        rows = [replace(row, name=method) for row, method in zip(rows, methods, strict=True)]
    check_writable(request.out)  # after the photos were read, so that a photo that is refused leaves no folder
    reserved.enter_context(locked(request.out))
    _report_cost(request, reporter, rows, device)
    with reporter.searching(sum(len(row.todo) for row in rows)):
        todo = [(row, target) for row in rows for target in row.todo]
        for number, (row, target) in enumerate(todo):
            reporter.begin(number)
            photo, image = request.read(target, row.net, device)
            found = _explained(request, row, target, photo, image, reporter)
            path = found.save(with_ending(target.path, EXPLANATION))
            reporter.result(f"{Path(target.photo).name}, {row.name}", found, {"explanation": str(path)})
    names = {target: f"{Path(target.photo).name}, {row.name}" for row in rows for target in row.targets}
    made = [target for _, target in todo]
    report_finished(list(names), made, _explanation, reporter, names.__getitem__)
    cells = [(row.name, [_cell(request, row.net, target) for target in row.targets]) for row in rows]
    pictures = [(Path(file).name, photo) for file, photo in photos]
    figure = gallery_figure(pictures, cells, title=request.title)
    dpi = min(DPI, LONGEST / max(figure.get_size_inches()))
    return write_whole(request.out / GALLERY, lambda file: figure.savefig(file, dpi=dpi))


def _named(models: Sequence[str]) -> dict[str, str]:
    """Specs by the names that the gallery shows."""
    found: dict[str, str] = {}
    for text in models:
        name, spec = named_spec(text)
        if name in found:
            raise InputError(f"two networks are named {name!r}; give each its own name, as NAME=SPEC")
        found[name] = spec
    return found


def _methods(methods: Sequence[str]) -> list[str]:
    """The methods of the gallery, each checked and given once."""
    for spec in methods:
        parse_method(spec)
    if len(set(methods)) < len(methods):
        raise InputError("a method is given twice; give each once, or with other options, as rise:seed=1")
    return list(methods) or ["mdm"]


def _rows(
    request: GalleryRequest,
    name: str,
    spec: str,
    methods: Sequence[str],
    files: Sequence[str],
    taken: set[str],
    device: torch.device,
    reporter: JobReporter,
) -> list[GalleryRow]:
    """The rows of a network, one for each method."""
    net = load_model(spec)
    net.model.to(device)
    warn_of_network(name, net, reporter)
    explainers = [_explainer(request, net, method) for method in methods]
    predicted = []
    for file in files:
        photo = request.open_photo(file)
        label = f"{Path(file).name}, {name}"
        try:
            image, (index,) = predict(
                net, photo, request.target, device=device, label=label, shown=3, reporter=reporter
            )
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        predicted.append((file, tuple(image.shape[1:]), index, said_of(photo)))
    weights = weights_digest(net.model)
    # By their names and not by their places, so that a photo that is added leaves the others finished.
    pictured: set[str] = set()
    parts = [free_name(file_part(Path(file).stem), pictured) for file in files]
    rows = []
    for method, explainer in zip(methods, explainers, strict=True):
        title = name if len(methods) == 1 else f"{name}, {method}"
        # Different names may give the same file name.
        stem = free_name(file_part(title), taken)
        targets = [
            PhotoTarget(file, size, index, request.out / f"{stem}.{part}", said, method)
            for part, (file, size, index, said) in zip(parts, predicted, strict=True)
        ]
        todo = [
            target for target in targets if not (request.resume and finished_before(target, explainer, spec, weights))
        ]
        rows.append(GalleryRow(title, spec, net, weights, explainer, targets, todo))
    return rows


def _explanation(target: PhotoTarget) -> dict[str, Path]:
    return {"explanation": with_ending(target.path, EXPLANATION)}


def _explainer(request: GalleryRequest, net: LoadedModel, method: str) -> PhotoExplainer:
    return request.explainer(net) if method == "mdm" else cast(PhotoExplainer, make_explainer(method, net))


def _explained(
    request: GalleryRequest,
    row: GalleryRow,
    target: PhotoTarget,
    photo: Image.Image,
    image: torch.Tensor,
    reporter: JobReporter,
) -> Explanation:
    """The explanation of a photo, with its trust, its place in the photo and its notes."""
    images = image.unsqueeze(0)
    if isinstance(row.explainer, MDM):
        found = row.explainer(images, target.index, progress=reporter.step)
    else:
        found = row.explainer(images, target.index)
    if found.trust.verdict(0).word == NOT_MEASURED:
        # By the probability, whatever the method explains, so that all rows are judged alike; verify reads the note.
        found = replace(
            found,
            trust=trust(row.net, images, found.saliency, target.index),
            notes={**found.notes, JUDGED_BY: "class_probability"},
        )
    notes = target.notes(row.spec, row.weights, row.explainer.user_model.output)
    notes = {**found.notes, **notes, **request.opening}
    return replace(found, notes=notes, geometry=(row.net.geometry(photo),))


def _report_cost(
    request: GalleryRequest, reporter: JobReporter, rows: Sequence[GalleryRow], device: torch.device
) -> None:
    costs = [row.explainer.cost(len(row.todo)) for row in rows]
    passes = {kind: sum(cost[kind] for cost in costs) for kind in ("forward", "backward")}
    seconds = sum(
        expected_seconds(row.net.model, request.read(row.todo[0], row.net, device)[1].unsqueeze(0), cost)
        for row, cost in zip(rows, costs, strict=True)
        if row.todo
    )
    todo, maps = sum(len(row.todo) for row in rows), sum(len(row.targets) for row in rows)
    reporter.cost(passes, todo=todo, done=maps - todo, seconds=seconds)


def _cell(request: GalleryRequest, net: LoadedModel, target: PhotoTarget) -> GalleryCell:
    found = Explanation.load(with_ending(target.path, EXPLANATION))
    what = shown(found, 0)
    photo = request.open_photo(target.photo)
    place = net.geometry(photo)
    picture = thumbnail(photo, MOST_SIDE) if place else net.picture(net.preprocess(photo))
    if place:
        place = place.scaled((picture.height, picture.width))
    probability = found.trust.numbers(0).probability
    score = f"{float(found.score_before[0]) if probability is None else probability:.0%}"
    region, *keeps = what.lines(place)[1].split("; ")
    words = [net.class_name(target.index), f"{score}, {region}", *keeps]
    return GalleryCell(picture, what.saliency, words, geometry=place, region=what.region, verdict=what.word)
