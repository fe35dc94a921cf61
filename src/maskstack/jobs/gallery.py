"""The work of ``maskstack gallery``: explain photos under several networks, then draw the table."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from maskstack.draw.gallery import MOST_SIDE, GalleryCell, gallery_figure
from maskstack.draw.pictures import thumbnail
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explanation import Explanation
from maskstack.explanation.view import shown
from maskstack.files import write_whole
from maskstack.jobs.machine import check_writable, pick_device
from maskstack.jobs.naming import EXPLANATION, file_part, free_name, with_ending
from maskstack.jobs.photos import PhotosRequest, PhotoTarget, is_finished, predict, top_count, warn_of_random_weights
from maskstack.jobs.progress import JobReporter
from maskstack.models import LoadedModel, load_model, named_spec, said_of
from maskstack.models.speed import pass_seconds
from maskstack.runs.folder import locked

DPI = 110

LONGEST = 30_000
"""Maximum pixels of the gallery's longer side; a larger gallery is scaled down, because viewers cannot open it."""


@dataclass(frozen=True, kw_only=True)
class GalleryRequest(PhotosRequest):
    """What to explain, and how.

    Attributes:
        models: Specs of the networks, each ``SPEC`` or ``NAME=SPEC``.
        title: Title of the gallery.
    """

    models: tuple[str, ...] = ("bundled",)
    title: str = ""


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """A network of the gallery.

    Attributes:
        name: Its name in the gallery.
        spec: Its model spec.
        net: The network.
        mdm: The explainer of the network.
        targets: For each photo, the class to explain.
        todo: The targets that are not finished.
    """

    name: str
    spec: str
    net: LoadedModel
    mdm: MDM
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
    if top_count(request.target) not in (None, 1):
        raise InputError(
            f"--target {request.target} asks for several classes, but a gallery shows one; give top1 or a class"
        )
    check_writable(request.out)
    taken: set[str] = set()
    rows = [_row(request, name, spec, files, taken, device, reporter) for name, spec in specs.items()]
    reserved.enter_context(locked(request.out))
    _report_cost(request, reporter, rows, device)
    with reporter.searching(sum(len(row.todo) for row in rows)):
        todo = [(row, target) for row in rows for target in row.todo]
        for number, (row, target) in enumerate(todo):
            reporter.begin(number)
            photo, image = request.read(target, row.net, device)
            found = row.mdm(image.unsqueeze(0), target.index, progress=reporter.step)
            place = (row.net.geometry(photo),)
            notes = target.notes(row.spec, row.mdm.user_model.output)
            path = replace(found, notes=notes, geometry=place).save(with_ending(target.path, EXPLANATION))
            reporter.result(f"{Path(target.photo).name}, {row.name}", found, {"explanation": str(path)})
    cells = [(row.name, [_cell(request, row.net, target) for target in row.targets]) for row in rows]
    pictures = [(Path(file).name, photo) for file, photo in photos]
    figure = gallery_figure(pictures, cells, title=request.title)
    dpi = min(DPI, LONGEST / max(figure.get_size_inches()))
    return write_whole(request.out / "gallery.png", lambda file: figure.savefig(file, dpi=dpi))


def _named(models: Sequence[str]) -> dict[str, str]:
    """Specs by the names that the gallery shows."""
    found: dict[str, str] = {}
    for text in models:
        name, spec = named_spec(text)
        if name in found:
            raise InputError(f"two networks are named {name!r}; give each its own name, as NAME=SPEC")
        found[name] = spec
    return found


def _row(
    request: GalleryRequest,
    name: str,
    spec: str,
    files: Sequence[str],
    taken: set[str],
    device: torch.device,
    reporter: JobReporter,
) -> GalleryRow:
    net = load_model(spec)
    net.model.to(device)
    warn_of_random_weights(name, net, reporter)
    # Different network names may give the same file name.
    stem = free_name(file_part(name), taken)
    targets = []
    for number, file in enumerate(files):
        photo = request.open_photo(file)
        label = f"{Path(file).name}, {name}"
        try:
            image, (index,) = predict(
                net, photo, request.target, device=device, label=label, shown=3, reporter=reporter
            )
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        path = request.out / f"{stem}.{number}-{file_part(Path(file).stem)}"
        targets.append(PhotoTarget(file, tuple(image.shape[1:]), index, path, said_of(photo)))
    mdm = request.explainer(net)
    todo = [
        target
        for target in targets
        if not (request.resume and is_finished(target, mdm, spec, with_ending(target.path, EXPLANATION)))
    ]
    return GalleryRow(name, spec, net, mdm, targets, todo)


def _report_cost(
    request: GalleryRequest, reporter: JobReporter, rows: Sequence[GalleryRow], device: torch.device
) -> None:
    costs = [row.mdm.cost(len(row.todo)) for row in rows]
    passes = {kind: sum(cost[kind] for cost in costs) for kind in ("forward", "backward")}
    seconds = sum(
        sum(pass_seconds(row.net.model, request.read(row.todo[0], row.net, device)[1].unsqueeze(0))) * cost["backward"]
        for row, cost in zip(rows, costs, strict=True)
        if row.todo
    )
    todo, maps = sum(len(row.todo) for row in rows), sum(len(row.targets) for row in rows)
    reporter.cost(passes, todo=todo, done=maps - todo, seconds=seconds / max(passes["backward"], 1))


def _cell(request: GalleryRequest, net: LoadedModel, target: PhotoTarget) -> GalleryCell:
    found = Explanation.load(with_ending(target.path, EXPLANATION))
    what = shown(found, 0)
    photo = request.open_photo(target.photo)
    place = net.geometry(photo)
    picture = thumbnail(photo, MOST_SIDE) if place else net.picture(net.preprocess(photo))
    if place:
        place = place.scaled((picture.height, picture.width))
    words = [net.class_name(target.index), *what.lines(place)[1:]]
    words[1] = f"{float(found.score_before[0]):.0%}, {words[1]}"
    return GalleryCell(picture, what.saliency, words, geometry=place, region=what.region, verdict=what.word)
