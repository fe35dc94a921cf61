"""The plan of a run: which maps are missing, and what they will cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from maskstack.datasets import AnnotatedImage
from maskstack.errors import InputError, MaskstackError
from maskstack.leaderboard.measures import GROUPS
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import BenchNetwork, ImageTask, Worker
from maskstack.models.speed import pass_seconds
from maskstack.runs.folder import RunPlan
from maskstack.runs.rows import Key

OnImage = Callable[[str, int], None]
"""Called after each prediction: the network's name, and the number of images predicted so far."""


def make_plan(
    request: BenchRequest, worker: Worker, finished: set[Key], *, looking: OnImage | None = None
) -> tuple[RunPlan, tuple[ImageTask, ...]]:
    """Plan a run. Errors in the request are found here, before the first map.

    Args:
        request: What to measure.
        worker: Holds the networks.
        finished: What is already measured.
        looking: Called for each predicted image, if only correctly classified images are wanted.

    Returns:
        The plan, and a task for each image of each network. The methods of an image come together, so that an
        interrupted run has all methods on the same images.

    Raises:
        MaskstackError: A network, the data or a method cannot be used.
    """
    tasks: list[ImageTask] = []
    forward = backward = wanted = 0
    seconds = 0.0
    for name in request.specs:
        network = worker.network(name)
        images = _choose(request, network, name, looking)
        costs = {method: _cost(network, method, request.groups) for method in request.methods}
        each = _pass_seconds(network)
        for image in images:
            missing = {}
            for method in request.methods:
                wanted += 1
                left = [group for group in request.groups if (name, method, image.name, group) not in finished]
                if left:
                    missing[method] = tuple(left)
                    forward, backward = forward + costs[method][0], backward + costs[method][1]
                    seconds += costs[method][0] * each[0] + costs[method][1] * each[1]
            if missing:
                tasks.append(ImageTask(name, image.name, missing))
    maps = sum(len(task.groups) for task in tasks)
    plan = RunPlan(maps=maps, done=wanted - maps, forward=forward, backward=backward, seconds=seconds)
    return plan, tuple(tasks)


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
