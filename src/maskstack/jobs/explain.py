"""The work of ``maskstack explain``: load, check everything, then photo by photo explain and write."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskstack.cli.console import Report
from maskstack.cli.device import pick_device
from maskstack.draw import overlay
from maskstack.draw.animation import FORMATS, animation, frame_steps
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.scoring.predict import class_probabilities
from maskstack.explanation import Explanation
from maskstack.files import write_whole
from maskstack.masks.result import Progress
from maskstack.models import LoadedModel, find_class, load_model, open_photo
from maskstack.objectives.outputs import find_tensor


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    photos: tuple[str, ...]
    model: str
    target: str
    out: Path
    resume: bool
    as_json: bool
    device: str
    objective: str
    preset: str
    settings: Mapping[str, Any]
    trust_seeds: int = 1
    trust_randomized: bool = False
    animate: str | None = None

    @property
    def searches(self) -> int:
        """How many searches a map takes, with those that only say how far to trust it."""
        return self.trust_seeds + self.trust_randomized


@dataclass(frozen=True)
class Job:
    """One class of one photo: what to explain and where the results go."""

    photo: str
    tensor: Tensor
    target: int
    path: Path


class Film:
    """Takes pictures of a search while it goes on.

    Attributes:
        stacks: Step and stacked masks, H x W.
        steps: Steps of the whole search.
    """

    def __init__(self) -> None:
        self.stacks: list[tuple[int, NDArray[np.float32]]] = []
        self.steps = 1

    def step(self, progress: Progress) -> None:
        """Look at a search after a step."""
        self.steps = progress.steps
        if progress.step in frame_steps(progress.steps) or not progress.open:
            self.stacks.append((progress.step, progress.preview()[0].cpu().numpy()))


def explain_photos(request: Request) -> None:
    """Do what was asked for; everything that can be wrong is found before the first photo is worked on.

    Raises:
        MaskstackError: Something the caller can put right.
    """
    if request.animate is not None and request.animate not in FORMATS:
        raise InputError(f"--animate {request.animate} is no kind of animation; write gif or webp")
    report = Report(as_json=request.as_json)
    opened = [open_photo(photo) for photo in request.photos]
    device = pick_device(request.device)
    net = load_model(request.model)
    net.model.to(device)
    mdm = MDM(net, preset=request.preset, objective=request.objective, **request.settings)
    check_writable(request.out)
    if net.weights == "random":
        report.warn(f"{request.model} has random weights: its maps mean nothing until you give it weights=FILE")
    jobs = _jobs(request, net, opened, device, report)
    todo = [job for job in jobs if not (request.resume and _is_finished(job, mdm, request))]
    cost = mdm.cost(len(todo) * request.searches)
    report.cost(
        cost, todo=len(todo), done=len(jobs) - len(todo), seconds=pass_seconds(net, [job.tensor for job in todo])
    )
    with report.progress(len(todo)):
        for job in todo:
            film = Film() if request.animate else None
            explanation = _explain(mdm, job, request, report, film)
            report.result(job.photo, explanation, _write(job, net, explanation, request.animate, film))
    report.finish(request.out)


def _jobs(
    request: Request, net: LoadedModel, photos: Sequence[Image.Image], device: torch.device, report: Report
) -> list[Job]:
    top = re.fullmatch(r"top(\d+)", request.target.strip().lower())
    fixed = None if top else find_class(net.class_names, request.target)
    jobs: list[Job] = []
    taken: set[str] = set()
    for name, photo in zip(request.photos, photos, strict=True):
        tensor = net.preprocess(photo).to(device)
        scores = class_probabilities(net, tensor.unsqueeze(0))[0]
        best = scores.topk(min(5, len(scores)))
        report.predictions(name, [(name_of(net, i), p) for p, i in zip(*map(Tensor.tolist, best), strict=True)])
        if fixed is not None and fixed >= len(scores):
            raise InputError(f"target {fixed} is out of range; the network has classes 0 to {len(scores) - 1}")
        targets = [fixed] if fixed is not None else scores.topk(_count(top, len(scores))).indices.tolist()
        stem = free_name(Path(name).stem, taken)
        for rank, target in enumerate(targets, start=1):
            suffix = f".{rank}-{plain_name(name_of(net, target))}" if len(targets) > 1 else ""
            jobs.append(Job(name, tensor, target, request.out / f"{stem}{suffix}"))
    return jobs


def _count(top: re.Match[str] | None, classes: int) -> int:
    count = int(top.group(1)) if top else 1
    if not 1 <= count <= classes:
        raise InputError(f"--target top{count} asks for {count} classes; the network has {classes}")
    return count


def _explain(mdm: MDM, job: Job, request: Request, report: Report, film: Film | None) -> Explanation:
    def tell(progress: Progress) -> None:
        report.step(progress)
        if film is not None:
            film.step(progress)

    images = job.tensor.unsqueeze(0)
    explanation = mdm(images, job.target, progress=tell)
    if request.searches > 1:
        explanation = mdm.check(images, explanation, seeds=request.trust_seeds, randomize=request.trust_randomized)
    return replace(explanation, notes={"model": request.model, "photo": Path(job.photo).name})


def _write(
    job: Job, net: LoadedModel, explanation: Explanation, animate: str | None, film: Film | None
) -> dict[str, str]:
    picture = net.picture(job.tensor.cpu())
    laid_over = overlay(picture, explanation.saliency[0, 0].cpu().numpy())
    figure = explanation.plot(picture)
    files = {
        "overlay": write_whole(beside(job.path, ".overlay.png"), laid_over.save),
        "figure": write_whole(beside(job.path, ".figure.png"), lambda file: figure.savefig(file, dpi=120)),
    }
    if animate and film is not None:
        drawn = animation(picture, film.stacks, steps=film.steps, kind=animate)
        files["animation"] = write_whole(beside(job.path, f".masks.{animate}"), lambda file: file.write_bytes(drawn))
    # Last, since --resume takes a photo with this file for finished.
    files["explanation"] = explanation.save(beside(job.path, ".safetensors"))
    return {kind: str(path) for kind, path in files.items()}


def _is_finished(job: Job, mdm: MDM, request: Request) -> bool:
    try:
        found = Explanation.load(beside(job.path, ".safetensors"))
    except InputError:
        return False
    same = {"model": request.model, "photo": Path(job.photo).name}
    objective = mdm.subject.goal(job.target).name
    return (
        found.notes == same
        and found.target == (job.target,)
        and found.objective == objective
        and found.settings == mdm.settings_for((job.tensor.shape[-2], job.tensor.shape[-1])).as_dict()
        and _is_checked(found, request)
        and (request.animate is None or beside(job.path, f".masks.{request.animate}").is_file())
    )


def _is_checked(found: Explanation, request: Request) -> bool:
    """Whether what was asked for beside the map is there."""
    if request.searches == 1:
        return True
    return (
        found.trust is not None
        and found.trust.seeds.shape[1] >= request.trust_seeds - 1
        and (not request.trust_randomized or bool(found.trust.randomization.isfinite().all()))
    )


def pass_seconds(net: LoadedModel, tensors: Sequence[Tensor]) -> float:
    """Seconds of one forward and backward pass, measured on the first image; 0 if there is none."""
    if not tensors:
        return 0.0
    image = tensors[0].unsqueeze(0)
    times = []
    for _ in range(2):
        started = time.perf_counter()
        leaf = image.detach().requires_grad_(True)
        output = find_tensor(net.model(leaf))
        if output.requires_grad:
            torch.autograd.grad(output.float().sum(), leaf, allow_unused=True)
        times.append(time.perf_counter() - started)
    return min(times)


def check_writable(folder: Path) -> None:
    """Fail early, before any work, where nothing can be written."""
    write_whole(folder / ".maskstack-probe", lambda file: file.write_bytes(b"")).unlink()


def beside(path: Path, ending: str) -> Path:
    """The path with an ending more."""
    return path.with_name(path.name + ending)


def name_of(net: LoadedModel, index: int) -> str:
    """What the network calls a class."""
    return net.class_names[index] if index < len(net.class_names) else f"class {index}"


def plain_name(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "class"


def free_name(stem: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; it is taken from then on."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
