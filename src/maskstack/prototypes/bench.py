"""The comparison of methods of prototype search: every method on every pair of an image and a prototype."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from maskstack import checks
from maskstack.datasets import AnnotatedImage, AnnotationTransform, load_images
from maskstack.errors import InputError, reason
from maskstack.explainers.base import NOT_FINITE, CostedExplainer
from maskstack.explainers.table import code_digests, parse_method
from maskstack.prototypes.checkpoint import Prototypes
from maskstack.prototypes.measuring import PASSES, PrototypeOnImage, measured
from maskstack.prototypes.parts import perturbed
from maskstack.prototypes.push import duplicates
from maskstack.prototypes.search import NATIVE, finder
from maskstack.runs.folder import HALVES, RunListener, RunPlan, has_rows, opened, settle
from maskstack.runs.rows import FAILED, Key, ResultRow, result_rows

METHODS = (NATIVE, "mdm", "smoothgrad", "random", "centre", "edges")

_MAY_GROW = ("methods", "per_class", "images", "checkpoint")
"""Entries of a request that may differ from one call to the next; the digest of the weights identifies the network."""


@dataclass(frozen=True, kw_only=True)
class PrototypeBenchRequest:
    """What to measure.

    Attributes:
        checkpoint: Folder of the network.
        data: Folder of annotated images of the network's classes.
        split: Split of the data; None for all images.
        methods: Methods with their options, as for ``maskstack bench``; and ``native``.
        per_class: Number of prototypes of each class, beginning with the largest weight; duplicates are left out.
        images: Maximum number of images of each class.
        half: ``tuning``, ``reporting`` or ``all``.
        stability: Whether methods run again on a noisy image.
        seed: Seed of the choice of images and of the noise.

    Raises:
        InputError: A value cannot be used.
    """

    checkpoint: str
    data: str
    split: str | None = "test"
    methods: tuple[str, ...] = METHODS
    per_class: int = 2
    images: int = 5
    half: str = "all"
    stability: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checks.whole("per_class", self.per_class, least=1)
        checks.whole("images", self.images, least=1)
        checks.one_of("half", self.half, HALVES)
        checks.distinct("method", self.methods)
        for method in self.methods:
            if method != NATIVE:
                parse_method(method)


@dataclass(frozen=True)
class PrototypeTask:
    """One method on one image for several prototypes, which are searched for in one batch."""

    method: str
    image: AnnotatedImage
    prototypes: tuple[int, ...]

    def key(self, prototype: int) -> Key:
        """Identifies the rows of one prototype."""
        return "prototypes", self.method, self.image.name, f"prototype {prototype}"

    def without(self, finished: set[Key]) -> PrototypeTask:
        """The task with the prototypes that are not finished."""
        return replace(self, prototypes=tuple(n for n in self.prototypes if self.key(n) not in finished))


def bench(
    request: PrototypeBenchRequest,
    prototypes: Prototypes,
    out: Path,
    listener: RunListener,
    *,
    retry_failed: bool = False,
) -> list[ResultRow]:
    """Measure what is missing in a run, and return the rows that were asked for.

    A map that cannot be made, such as that of a damaged image, is a row with the reason, and the run goes on.

    Args:
        request: What to measure.
        prototypes: The network.
        out: Folder of the run.
        listener: Receives the progress.
        retry_failed: Whether failed maps are measured again.

    Raises:
        InputError: The data have no image of the network's classes, or ``out`` holds another run.
        OutputError: The folder cannot be written to.
    """
    images = chosen_images(request, prototypes)
    about = {name: value for name, value in asdict(request).items() if name not in _MAY_GROW}
    about["weights"] = prototypes.digest
    code = code_digests(method for method in request.methods if method != NATIVE)
    with opened(
        out, lambda: settle(out, about, begun=has_rows(out), code=code), listener, retry_failed=retry_failed
    ) as store:
        tasks = list(_tasks(request, prototypes, images))
        finished = store.finished()
        missing = [task for task in (each.without(finished) for each in tasks) if task.prototypes]
        explainers = {name: finder(prototypes.network, name) for name in request.methods}
        listener.planned(_plan(request, tasks, missing, explainers))
        transform = AnnotationTransform(prototypes.model.preprocess)
        for task in missing:
            try:
                rows = _rows(task, request, prototypes, explainers[task.method], transform)
            # An error of a file or a method is a result of these maps and must not end the run.
            except Exception as error:
                rows = [_failed(task, number, reason(error)) for number in task.prototypes]
            store.write(rows)
            store.merge_when_many()
            listener.finished(len(task.prototypes), rows)
        wanted = {task.key(number) for task in tasks for number in task.prototypes}
        return [row for row in store.rows() if row.key in wanted]


def chosen_images(request: PrototypeBenchRequest, prototypes: Prototypes) -> dict[int, list[AnnotatedImage]]:
    """The images of each class that are measured. With the same seed, fewer images are a part of more images.

    Raises:
        InputError: No image is of a class of the network.
    """
    images = load_images(request.data, split=request.split)
    if request.half != "all":
        images = images.half(request.half)
    names = prototypes.class_names
    found = {}
    for label, name in enumerate(names):
        own = sorted((image for image in images if image.class_name == name), key=lambda image: image.name)
        random.Random(f"{request.seed}/{name}").shuffle(own)
        if own:
            found[label] = own[: request.images]
    if not found:
        boxed = ", or boxes.csv, as images with several findings are measured only where one has a box"
        raise InputError(
            f"{request.data} has no image of the network's classes ({', '.join(names[:8])}); give data of these "
            f"classes{boxed if prototypes.multi_label else ''}"
        )
    return found


def _tasks(
    request: PrototypeBenchRequest, prototypes: Prototypes, images: dict[int, list[AnnotatedImage]]
) -> Iterator[PrototypeTask]:
    same = duplicates(prototypes.network)
    numbers = {
        label: tuple([number for number in prototypes.prototypes_of(label) if number not in same][: request.per_class])
        for label in images
    }
    # Image by image, so that an interrupted run has all methods on the same images.
    for place in range(request.images):
        for label, own in images.items():
            for method in request.methods if place < len(own) else ():
                yield PrototypeTask(method, own[place], numbers[label])


def _plan(
    request: PrototypeBenchRequest,
    tasks: list[PrototypeTask],
    missing: list[PrototypeTask],
    explainers: dict[str, CostedExplainer],
) -> RunPlan:
    wanted, maps = (sum(len(task.prototypes) for task in each) for each in (tasks, missing))
    costs = [explainers[task.method].cost(len(task.prototypes)) for task in missing]
    calls = 1 + request.stability
    forward, backward = (calls * sum(cost[passes] for cost in costs) for passes in ("forward", "backward"))
    # One pass for each image finds the prototypes' places.
    forward += maps * PASSES + len(missing)
    return RunPlan(maps=maps, done=wanted - maps, forward=forward, backward=backward)


def _rows(
    task: PrototypeTask,
    request: PrototypeBenchRequest,
    prototypes: Prototypes,
    explainer: CostedExplainer,
    transform: AnnotationTransform,
) -> list[ResultRow]:
    picture = task.image.open()
    image = prototypes.model.preprocess(picture)
    truth = transform(task.image, picture)
    found = explainer(_repeated(image, task), list(task.prototypes))
    noisy = None
    if request.stability and truth.parts:
        changed = perturbed(image, seed=random.Random(f"{request.seed}/{task.image.name}").getrandbits(31))
        noisy = explainer(_repeated(changed, task), list(task.prototypes))
    with torch.no_grad():
        place = prototypes.network.places(image.unsqueeze(0))
    fill = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    rows = []
    for row, number in enumerate(task.prototypes):
        if NOT_FINITE in (found.trust.problems[row], noisy and noisy.trust.problems[row]):
            rows.append(_failed(task, number, NOT_FINITE))
            continue
        tested = PrototypeOnImage(prototypes.network, number, image, fill, place, truth)
        rows += result_rows(
            measured(tested, found.saliency[row, 0], None if noisy is None else noisy.saliency[row, 0]),
            task.key(number),
            target=number,
            forward=int(found.forward_passes[row]),
            backward=int(found.backward_passes[row]),
            seconds=found.seconds / len(task.prototypes),
        )
    return rows


def _failed(task: PrototypeTask, prototype: int, why: str) -> ResultRow:
    """The only row of a map that could not be made or measured."""
    return ResultRow(*task.key(prototype), FAILED, None, target=prototype, failure=why)


def _repeated(image: Tensor, task: PrototypeTask) -> Tensor:
    return image.expand(len(task.prototypes), -1, -1, -1)
