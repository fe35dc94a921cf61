"""The plan of a run: which maps are missing, and what they will cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from maskstack.datasets import AnnotatedImage
from maskstack.errors import InputError, MaskstackError
from maskstack.leaderboard.measures import GROUPS
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import BenchNetwork, ImageTask, Worker
from maskstack.models.timing import pass_seconds
from maskstack.runs.folder import RunPlan

OnImage = Callable[[str, int], None]
"""Called after each prediction: the network's name, and the number of images predicted so far."""

Measured = Callable[[str, Sequence[str]], Mapping[tuple[str, str], NDArray[np.bool_]]]
"""From a network's name and N images to the truth values of each method and group: what is measured, N."""


def make_plan(
    request: BenchRequest, worker: Worker, measured: Measured, *, looking: OnImage | None = None
) -> tuple[RunPlan, Sequence[ImageTask]]:
    """Plan a run. Errors in the request are found here, before the first map.

    Args:
        request: What to measure.
        worker: Holds the networks.
        measured: Says what is already measured; see :meth:`maskstack.runs.store.Store.measured`.
        looking: Called for each predicted image, if only correctly classified images are wanted.

    Returns:
        The plan, and a task for each image of each network. The methods of an image come together, so that an
        interrupted run has all methods on the same images.

    Raises:
        MaskstackError: A network, the data or a method cannot be used.
    """
    parts: list[_Missing] = []
    forward = backward = wanted = maps = 0
    seconds = 0.0
    for name in request.specs:
        network = worker.network(name)
        images = [image.name for image in _choose(request, network, name, looking)]
        missing = _missing(request, name, images, measured(name, images))
        each = _pass_seconds(network)
        for method, of_method in zip(request.methods, missing.groups, strict=True):
            left = int(of_method.any(axis=0).sum())
            cost = _cost(network, method, request.groups)
            forward, backward = forward + left * cost[0], backward + left * cost[1]
            seconds += left * (cost[0] * each[0] + cost[1] * each[1])
            maps += left
        wanted += len(request.methods) * len(images)
        parts.append(missing)
    plan = RunPlan(maps=maps, done=wanted - maps, forward=forward, backward=backward, seconds=seconds)
    return plan, _Tasks(request, parts)


@dataclass(frozen=True)
class _Missing:
    """What is missing of a network: truth values, methods x groups x images, and the images that lack anything."""

    model: str
    images: Sequence[str]
    groups: NDArray[np.bool_]
    places: NDArray[np.int64]


def _missing(
    request: BenchRequest, model: str, images: Sequence[str], done: Mapping[tuple[str, str], NDArray[np.bool_]]
) -> _Missing:
    groups = np.ones((len(request.methods), len(request.groups), len(images)), bool)
    for line, method in enumerate(request.methods):
        for place, group in enumerate(request.groups):
            if (method, group) in done:
                groups[line, place] = ~done[method, group]
    return _Missing(model, images, groups, np.flatnonzero(groups.any(axis=(0, 1))))


class _Tasks(Sequence[ImageTask]):
    """The tasks of a plan. Each is made when it is asked for, so that millions of them take little memory."""

    def __init__(self, request: BenchRequest, parts: Sequence[_Missing]) -> None:
        self._request, self._parts = request, parts

    def __len__(self) -> int:
        return sum(len(part.places) for part in self._parts)

    @overload
    def __getitem__(self, number: int) -> ImageTask: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[ImageTask]: ...

    def __getitem__(self, number: int | slice) -> ImageTask | Sequence[ImageTask]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        at = number + len(self) if number < 0 else number
        for part in self._parts:
            if 0 <= at < len(part.places):
                return self._task(part, int(part.places[at]))
            at -= len(part.places)
        raise IndexError(number)

    def _task(self, part: _Missing, place: int) -> ImageTask:
        lacks = part.groups[:, :, place]
        missing = {
            method: tuple(compress(self._request.groups, lacks[line]))
            for line, method in enumerate(self._request.methods)
            if lacks[line].any()
        }
        return ImageTask(part.model, part.images[place], missing)


def _choose(
    request: BenchRequest, network: BenchNetwork, name: str, looking: OnImage | None
) -> Sequence[AnnotatedImage]:
    order = network.images.subset(len(network.images), request.seed)
    if request.which == "all":
        return order[: request.images]
    if all(image.label is None for image in order):
        raise InputError(f"no label of {request.data} matches the classes of {name}; use --which all")
    right: list[AnnotatedImage] = []
    for predicted, image in enumerate(order, start=1):
        if len(right) == request.images:
            break
        if looking is not None:
            looking(name, predicted)
        if image.label is not None and _is_right(network, image):
            right.append(image)
    if not right:
        raise InputError(
            f"{name} classifies none of the {len(order)} images correctly; check its normalisation and classes"
        )
    return right


def _is_right(network: BenchNetwork, image: AnnotatedImage) -> bool:
    try:
        return network.cases.predicted(image) == image.label
    except MaskstackError:
        return False


def _cost(network: BenchNetwork, method: str, groups: Sequence[str]) -> tuple[int, int]:
    """Maximum number of passes of one map and its metrics: forward, backward."""
    own = network.explainer(method).cost(1)
    calls = 1 + sum(GROUPS[group].calls for group in groups)
    for_metrics = sum(GROUPS[group].forward(network.request.curve_steps) for group in groups)
    return calls * own["forward"] + for_metrics, calls * own["backward"]


def _pass_seconds(network: BenchNetwork) -> tuple[float, float]:
    """Seconds that one image takes forward and backward, measured on a batch of 16."""
    size = (16, len(network.net.mean), *network.net.input_size)
    batch = torch.zeros(size, device=network.cases.device).contiguous(memory_format=torch.channels_last)
    forward, backward = pass_seconds(network.net.model, batch)
    return forward / len(batch), backward / len(batch)
