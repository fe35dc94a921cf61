"""The plan of a run: which pairs are left to do, and what they will cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from maskstack.datasets import AnnotatedImage
from maskstack.errors import InputError, MaskstackError
from maskstack.leaderboard.measures import GROUPS
from maskstack.leaderboard.request import Request
from maskstack.runs.store import Key
from maskstack.leaderboard.work import Network, Task, Worker
from maskstack.objectives.outputs import find_tensor


@dataclass(frozen=True)
class Plan:
    """What is left to do.

    Attributes:
        tasks: An image of a network each, images first, so that a run that is stopped has all methods on the same
            images.
        pairs: Maps to make.
        done: Maps already there.
        forward: Images to send forward at most, for maps and metrics.
        backward: Images to send backward at most.
        seconds: Expected time of one worker: passes times what a pass took when it was tried.
    """

    tasks: tuple[Task, ...]
    pairs: int
    done: int
    forward: int
    backward: int
    seconds: float


OnImage = Callable[[str, int], None]
"""Called while images are looked at: the network's name, and how many have been looked at."""


def make_plan(request: Request, worker: Worker, finished: set[Key], *, looking: OnImage | None = None) -> Plan:
    """Plan a run: everything that can be wrong with it is found here, before the first map.

    Args:
        request: What was asked for.
        worker: Whose networks to plan with.
        finished: What is already there.
        looking: Told of each image that is looked at, where only those are wanted that the network gets right.

    Raises:
        MaskstackError: A network, the data or a method cannot be used.
    """
    tasks: list[Task] = []
    forward = backward = wanted = 0
    seconds = 0.0
    for name in request.specs:
        network = worker.network(name)
        images = _choose(request, network, name, looking)
        costs = {method: _cost(network, method, request.groups) for method in request.methods}
        each = _pass_seconds(network)
        for image in images:
            pairs = {}
            for method in request.methods:
                wanted += 1
                left = [group for group in request.groups if (name, method, image.name, group) not in finished]
                if left:
                    pairs[method] = tuple(left)
                    forward, backward = forward + costs[method][0], backward + costs[method][1]
                    seconds += costs[method][0] * each[0] + costs[method][1] * each[1]
            if pairs:
                tasks.append(Task(name, image.name, pairs))
    left_over = sum(len(task.pairs) for task in tasks)
    return Plan(tuple(tasks), left_over, wanted - left_over, forward, backward, seconds)


def _choose(request: Request, network: Network, name: str, looking: OnImage | None) -> Sequence[AnnotatedImage]:
    images = network.images
    order = images.subset(len(images), request.seed)
    limit = len(images) if request.images is None else request.images
    if request.which == "all":
        return list(order)[:limit]
    if all(image.label is None for image in order):
        raise InputError(f"{request.data} has no labels that {name} knows, so it gets none right; use --which all")
    right: list[AnnotatedImage] = []
    for looked, image in enumerate(order, start=1):
        if len(right) == limit:
            break
        if looking is not None:
            looking(name, looked)
        if image.label is not None and _takes_for_label(network, image):
            right.append(image)
    if not right:
        raise InputError(f"{name} gets none of the {len(order)} images right; check its normalisation and classes")
    return right


def _takes_for_label(network: Network, image: AnnotatedImage) -> bool:
    try:
        return network.cases.predicted(image) == image.label
    except MaskstackError:
        return False


def _cost(network: Network, method: str, groups: Sequence[str]) -> tuple[int, int]:
    """Passes of one map and its metrics, at most: forward, backward."""
    own = network.explainer(method).cost(1)
    calls = 1 + sum(GROUPS[group].calls for group in groups)
    judged = sum(GROUPS[group].forward(network.request.curve_steps) for group in groups)
    return calls * own["forward"] + judged, calls * own["backward"]


def _pass_seconds(network: Network) -> tuple[float, float]:
    """Seconds an image takes forward, and backward, tried on a batch of 16."""
    size = network.net.input_size
    channels = len(network.net.mean)
    batch = torch.zeros(16, channels, *size, device=network.cases.device).contiguous(memory_format=torch.channels_last)
    model = network.net.model
    both = forward = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        leaf = batch.requires_grad_(True)
        output = find_tensor(model(leaf))
        between = time.perf_counter()
        torch.autograd.grad(output.float().sum(), leaf, allow_unused=True)
        forward, both = min(forward, between - started), min(both, time.perf_counter() - started)
    return forward / len(batch), (both - forward) / len(batch)
