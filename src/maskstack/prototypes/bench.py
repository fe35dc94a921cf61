"""Methods of prototype search against each other: what is measured, pair by pair, and kept as it comes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from maskstack.datasets import AnnotatedImage, Carrier, load_images
from maskstack.errors import InputError
from maskstack.explainers.table import CostedExplainer, parse_method
from maskstack.files import write_whole
from maskstack.runs.lock import locked
from maskstack.runs.store import Key, Row, Store
from maskstack.prototypes.checkpoint import Prototypes
from maskstack.prototypes.measuring import Pair, measured
from maskstack.prototypes.parts import perturbed
from maskstack.prototypes.push import duplicates
from maskstack.prototypes.search import NATIVE, finder

METHODS = (NATIVE, "mdm", "smoothgrad", "random", "centre", "edges")
FILE = "run.json"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure.

    Attributes:
        checkpoint: Folder of the network.
        data: Folder of annotated images, of classes that the network has.
        split: Of the data; None for all.
        methods: With their options, as for ``maskstack bench``; and ``native``.
        per_class: Prototypes of each class, the most weighty first, duplicates left out.
        images: Images of each class at most.
        half: ``tuning``, ``reporting`` or ``all``.
        stability: Whether methods run again on a noisy image.
        seed: Of the choice of images, and of the noise.

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
        if min(self.per_class, self.images) < 1:
            raise InputError(f"{self.per_class} prototypes and {self.images} images a class; both must be 1 or more")
        if self.half not in ("all", "tuning", "reporting"):
            raise InputError(f"half is {self.half!r}; it must be all, tuning or reporting")
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise InputError(f"the methods are {', '.join(self.methods)}; name at least one, each once")
        for method in self.methods:
            if method != NATIVE:
                parse_method(method)


@dataclass(frozen=True)
class Task:
    """One method on one image for several prototypes, whose searches share a batch."""

    method: str
    image: AnnotatedImage
    prototypes: tuple[int, ...]


class Listener(Protocol):
    """Is told how a run goes."""

    def planned(self, pairs: int, done: int, passes: int) -> None:
        """So many pairs of image and prototype, for all methods together, and at most so many passes."""
        ...

    def finished(self, pairs: int) -> None:
        """So many of them are measured."""
        ...


def bench(request: Request, prototypes: Prototypes, out: Path, listener: Listener) -> list[Row]:
    """Measure what is missing of a run, and return all its rows.

    Raises:
        InputError: The data have no image of the network's classes, or ``out`` holds another run.
        OutputError: The folder cannot be written to.
    """
    images = chosen_images(request, prototypes)
    with locked(out):
        _settle(request, prototypes, out)
        store = Store.open(out)
        tasks = list(_tasks(request, prototypes, images))
        finished = store.finished()
        todo = [missing for task in tasks if (missing := _unfinished(task, finished)).prototypes]
        several = sum(len(task.prototypes) for task in tasks)
        left = sum(len(task.prototypes) for task in todo)
        explainers: dict[str, CostedExplainer] = {name: finder(prototypes.network, name) for name in request.methods}
        passes = sum(sum(explainers[task.method].cost(len(task.prototypes)).values()) for task in todo)
        listener.planned(several, several - left, passes)
        carrier = Carrier(prototypes.model.preprocess)
        for task in todo:
            store.write(_rows(task, request, prototypes, explainers[task.method], carrier))
            store.merge_when_many()
            listener.finished(len(task.prototypes))
        wanted = {_key(task, number) for task in tasks for number in task.prototypes}
        return [row for row in store.rows() if (row.model, row.method, row.image, row.group) in wanted]


def chosen_images(request: Request, prototypes: Prototypes) -> dict[int, list[AnnotatedImage]]:
    """The images of each class that are measured on; more of the same seed hold fewer.

    Raises:
        InputError: None is of a class of the network.
    """
    images = load_images(request.data, split=request.split)
    if request.half != "all":
        images = images.half(request.half)  # type: ignore[arg-type]
    names = prototypes.class_names
    found = {}
    for label, name in enumerate(names):
        own = sorted((image for image in images if image.class_name == name), key=lambda image: image.name)
        random.Random(f"{request.seed}/{name}").shuffle(own)
        if own:
            found[label] = own[: request.images]
    if not found:
        raise InputError(f"{request.data} has no image of the network's classes, {', '.join(names[:8])}; give its data")
    return found


def _tasks(request: Request, prototypes: Prototypes, images: dict[int, list[AnnotatedImage]]) -> Iterator[Task]:
    same = duplicates(prototypes.network)
    numbers = {
        label: tuple([number for number in prototypes.prototypes_of(label) if number not in same][: request.per_class])
        for label in images
    }
    # Image by image, so that a run that was stopped has all methods on what it has.
    for place in range(request.images):
        for label, own in images.items():
            for method in request.methods if place < len(own) else ():
                yield Task(method, own[place], numbers[label])


def _rows(
    task: Task, request: Request, prototypes: Prototypes, explainer: CostedExplainer, carrier: Carrier
) -> list[Row]:
    picture = task.image.open()
    image = prototypes.model.preprocess(picture)
    truth = carrier.carry(task.image, picture)
    found = explainer(_repeated(image, task), list(task.prototypes))
    noisy = None
    if request.stability and truth.parts:
        shaken = perturbed(image, seed=random.Random(f"{request.seed}/{task.image.name}").getrandbits(31))
        noisy = explainer(_repeated(shaken, task), list(task.prototypes))
    with torch.no_grad():
        place = prototypes.network.places(image.unsqueeze(0))
    rows = []
    for row, number in enumerate(task.prototypes):
        fill = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
        pair = Pair(prototypes.network, number, image, fill, place, truth)
        values = measured(pair, found.saliency[row, 0], None if noisy is None else noisy.saliency[row, 0])
        model, method, name, group = _key(task, number)
        rows += [
            Row(
                model,
                method,
                name,
                group,
                value.metric,
                value.value,
                json.dumps(value.protocol),
                number,
                value.curve,
                int(found.forward_passes[row]),
                int(found.backward_passes[row]),
                found.seconds / len(task.prototypes),
                value.failure,
            )
            for value in values
        ]
    return rows


def _unfinished(task: Task, finished: set[Key]) -> Task:
    """What of a task is still to do; a run may be asked for more prototypes later."""
    return replace(task, prototypes=tuple(n for n in task.prototypes if _key(task, n) not in finished))


def _repeated(image: Tensor, task: Task) -> Tensor:
    return image.expand(len(task.prototypes), -1, -1, -1)


def _key(task: Task, number: int) -> tuple[str, str, str, str]:
    return "prototypes", task.method, task.image.name, f"prototype {number}"


def _settle(request: Request, prototypes: Prototypes, out: Path) -> None:
    """Write what the run is about; more methods, prototypes or images may be asked for later, nothing else."""
    grown = ("methods", "per_class", "images", "checkpoint")
    about: dict[str, Any] = {key: value for key, value in asdict(request).items() if key not in grown}
    about["weights"] = prototypes.digest
    file = out / FILE
    if not file.is_file():
        write_whole(file, lambda path: path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8"))
        return
    try:
        known = dict(json.loads(file.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{file} is damaged; choose another --out") from error
    for key, value in about.items():
        if known.get(key) != value:
            raise InputError(f"{out} holds a run with {key}={known.get(key)!r}, not {value!r}; choose another --out")


__all__: Sequence[str] = ["METHODS", "Listener", "Request", "bench"]
