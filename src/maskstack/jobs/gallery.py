"""The work of ``maskstack gallery``: network by network, photo by photo, each kept as soon as it is found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from maskstack.cli.console import Report
from maskstack.cli.device import pick_device
from maskstack.jobs.explain import check_writable, free_name, name_of, pass_seconds, plain_name
from maskstack.draw.gallery import Cell, gallery_figure
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.scoring.predict import class_probabilities
from maskstack.explanation import Explanation
from maskstack.files import write_whole
from maskstack.models import LoadedModel, find_class, load_model, named_spec, open_photo

DPI = 110

LONGEST = 30_000
"""Pixels of the drawn gallery's longer side at most: a large gallery is drawn smaller, as viewers refuse more."""


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    photos: tuple[str, ...]
    models: tuple[str, ...]
    target: str
    out: Path
    preset: str
    resume: bool
    device: str
    title: str
    as_json: bool


@dataclass(frozen=True, eq=False)
class Job:
    """One photo under one network: what to explain and where it goes."""

    photo: str
    tensor: Tensor
    target: int
    path: Path


def make_gallery(request: Request) -> None:
    """Do what was asked for; everything that can be wrong is found before the first search.

    Raises:
        MaskstackError: Something the caller can put right.
    """
    report = Report(as_json=request.as_json)
    photos = [open_photo(photo) for photo in request.photos]
    device = pick_device(request.device)
    specs = _named(request.models)
    _check_target(request.target)
    check_writable(request.out)
    rows: list[tuple[str, LoadedModel, MDM, list[Job]]] = []
    stems: set[str] = set()
    for name, spec in specs.items():
        net = load_model(spec)
        net.model.to(device)
        if net.weights == "random":
            report.warn(f"{name} has random weights: its maps mean nothing until you give it weights=FILE")
        # Names may differ in what no file name shows.
        stem = free_name(plain_name(name), stems)
        jobs = _jobs(request, name, net, photos, stem, device, report)
        rows.append((name, net, MDM(net, preset=request.preset), jobs))
    todo = {
        name: [job for job in jobs if not (request.resume and _finished(job, mdm, spec))]
        for (name, _, mdm, jobs), spec in zip(rows, specs.values(), strict=True)
    }
    _tell_cost(report, rows, todo)
    with report.progress(sum(map(len, todo.values()))):
        for (name, _, mdm, _jobs_of), spec in zip(rows, specs.values(), strict=True):
            for job in todo[name]:
                found = mdm(job.tensor.unsqueeze(0), job.target, progress=report.step)
                _keep(job, found, spec)
                report.result(f"{Path(job.photo).name}, {name}", found, {"explanation": str(job.path)})
    drawn = [(name, [_cell(net, job) for job in jobs]) for name, net, _, jobs in rows]
    shown = [(Path(path).name, _square(photo)) for path, photo in zip(request.photos, photos, strict=True)]
    figure = gallery_figure(shown, drawn, title=request.title)
    dpi = min(DPI, LONGEST / max(figure.get_size_inches()))
    path = write_whole(request.out / "gallery.png", lambda file: figure.savefig(file, dpi=dpi))
    report.document["gallery"] = str(path)
    report.finish(request.out, "gallery.png and the explanations")


def _named(models: Sequence[str]) -> dict[str, str]:
    """Specs by the names the gallery shows."""
    found: dict[str, str] = {}
    for text in models:
        name, spec = named_spec(text)
        if name in found:
            raise InputError(f"two networks are named {name!r}; name them apart, as NAME=SPEC")
        found[name] = spec
    return found


def _check_target(target: str) -> None:
    if re.fullmatch(r"top\d+", target.strip().lower()) and target.strip().lower() != "top1":
        raise InputError(f"--target {target} asks for several classes, and a gallery shows one; write top1 or a class")


def _jobs(
    request: Request,
    name: str,
    net: LoadedModel,
    photos: Sequence[Image.Image],
    stem: str,
    device: torch.device,
    report: Report,
) -> list[Job]:
    fixed = None
    if request.target.strip().lower() != "top1":
        try:
            fixed = find_class(net.class_names, request.target)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    jobs = []
    for number, (file, photo) in enumerate(zip(request.photos, photos, strict=True)):
        tensor = net.preprocess(photo).to(device)
        scores = class_probabilities(net, tensor.unsqueeze(0))[0]
        if fixed is not None and fixed >= len(scores):
            raise InputError(f"{name}: target {fixed} is out of range; it has classes 0 to {len(scores) - 1}")
        best = scores.topk(min(3, len(scores)))
        said = [(name_of(net, index), share) for share, index in zip(*map(Tensor.tolist, best), strict=True)]
        report.predictions(f"{Path(file).name}, {name}", said)
        path = request.out / f"{stem}.{number}-{plain_name(Path(file).stem)}.safetensors"
        jobs.append(Job(file, tensor, int(scores.argmax()) if fixed is None else fixed, path))
    return jobs


def _tell_cost(
    report: Report, rows: Sequence[tuple[str, LoadedModel, MDM, list[Job]]], todo: dict[str, list[Job]]
) -> None:
    costs = [mdm.cost(len(todo[name])) for name, _, mdm, _ in rows]
    passes = {kind: sum(cost[kind] for cost in costs) for kind in ("forward", "backward")}
    seconds = sum(
        pass_seconds(net, [job.tensor for job in todo[name]]) * cost["backward"]
        for (name, net, _, _), cost in zip(rows, costs, strict=True)
    )
    maps, done = sum(map(len, todo.values())), sum(len(jobs) for *_, jobs in rows)
    report.cost(passes, todo=maps, done=done - maps, seconds=seconds / max(passes["backward"], 1))


def _keep(job: Job, found: Explanation, spec: str) -> None:
    replace(found, notes={"model": spec, "photo": Path(job.photo).name}).save(job.path)


def _finished(job: Job, mdm: MDM, spec: str) -> bool:
    try:
        found = Explanation.load(job.path)
    except InputError:
        return False
    return (
        found.notes == {"model": spec, "photo": Path(job.photo).name}
        and found.target == (job.target,)
        and found.settings == mdm.settings_for((job.tensor.shape[-2], job.tensor.shape[-1])).as_dict()
    )


def _cell(net: LoadedModel, job: Job) -> Cell:
    found = Explanation.load(job.path)
    before, kept = float(found.score_before[0]), float(found.score_under_stack[0])
    words = [name_of(net, job.target), f"{before:.0%}, kept {kept:.0%}, area {float(found.area[0]):.0%}"]
    if found.degenerate[0] or (found.trust is not None and found.trust.doubts(0)):
        words.append("low trust")
    return Cell(net.picture(job.tensor.cpu()), found.saliency[0, 0].numpy(), words)


def _square(photo: Image.Image) -> Image.Image:
    """The photo small enough for a figure, whole."""
    small = photo.copy()
    small.thumbnail((400, 400))
    return small
