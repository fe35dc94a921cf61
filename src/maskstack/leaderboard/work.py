"""The work itself, the same on every engine: one method on one image of one network, measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from maskstack.datasets import AnnotatedImages
from maskstack.explainers.table import CostedExplainer, make_explainer
from maskstack.explanation import Explanation
from maskstack.leaderboard.case import Case, Cases
from maskstack.leaderboard.images import load_for
from maskstack.leaderboard.measures import GROUPS, Measured, Subject
from maskstack.leaderboard.request import Request
from maskstack.runs.store import FAILED, Row
from maskstack.models import LoadedModel, load_model
from maskstack.errors import reason


@dataclass(frozen=True)
class Task:
    """What is left to do on one image of one network: methods, each with the groups of metrics that are missing."""

    model: str
    image: str
    pairs: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Pair:
    """What came of one method on one image: its rows, and the map, H x W, if there is one and it is wanted."""

    model: str
    method: str
    image: str
    rows: tuple[Row, ...]
    saliency: NDArray[np.float16] | None = None


class Network:
    """A network of the run with its images and methods.

    Args:
        spec: The network's spec.
        request: What the run was asked for.
    """

    def __init__(self, spec: str, request: Request) -> None:
        self.request = request
        self.net: LoadedModel = load_model(spec)
        self.net.model.to(torch.device(request.device))
        self.images: AnnotatedImages = load_for(request, self.net)
        self.cases = Cases(self.net, target=request.target)
        self._by_name = {image.name: image for image in self.images}
        self._explainers: dict[str, CostedExplainer] = {}

    def explainer(self, method: str) -> CostedExplainer:
        """The method on this network, made once.

        Raises:
            MaskstackError: The method cannot be made here.
        """
        if method not in self._explainers:
            self._explainers[method] = make_explainer(method, self.net, batch_size=self.request.batch_size)
        return self._explainers[method]

    def case(self, name: str) -> Case:
        """The image of that name, ready to be explained."""
        return self.cases(self._by_name[name])


class Worker:
    """Works on tasks; loads each network when its first task comes.

    Args:
        request: What the run was asked for.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self._networks: dict[str, Network] = {}

    def network(self, name: str) -> Network:
        """A network of the run by its name."""
        if name not in self._networks:
            self._networks[name] = Network(self.request.specs[name], self.request)
        return self._networks[name]

    def __call__(self, task: Task) -> Iterator[Pair]:
        """Work on a task, pair by pair. What fails is a row with its reason."""
        network = self.network(task.model)
        try:
            case = network.case(task.image)
        # Whatever a file or a network does wrong is this image's result, not the run's end.
        except Exception as error:
            for method, groups in task.pairs.items():
                yield Pair(task.model, method, task.image, _failures(task, method, groups, f"image: {reason(error)}"))
            return
        for method, groups in task.pairs.items():
            yield self._pair(network, case, task, method, groups)

    def _pair(self, network: Network, case: Case, task: Task, method: str, groups: Sequence[str]) -> Pair:
        try:
            explainer = network.explainer(method)
            found = explainer(case.image.unsqueeze(0), case.target)
        except Exception as error:
            return Pair(task.model, method, task.image, _failures(task, method, groups, f"method: {reason(error)}"))
        subject = Subject(case, found.saliency[0, 0], explainer, network.net.model, self.request.curve_steps)
        rows: list[Row] = []
        for group in groups:
            try:
                values = GROUPS[group].measure(subject)
            except Exception as error:
                rows += _failures(task, method, [group], f"metrics: {reason(error)}")
            else:
                rows += [_row(task, method, group, value, case.target, found) for value in values]
        kept = found.saliency[0, 0].cpu().numpy().astype(np.float16) if self.request.keep_maps else None
        return Pair(task.model, method, task.image, tuple(rows), kept)


def _row(task: Task, method: str, group: str, value: Measured, target: int, found: Explanation) -> Row:
    return Row(
        model=task.model,
        method=method,
        image=task.image,
        group=group,
        metric=value.metric,
        value=value.value,
        protocol=json.dumps(dict(value.protocol)),
        target=target,
        curve=value.curve,
        forward=int(found.forward_passes[0]),
        backward=int(found.backward_passes[0]),
        seconds=found.seconds,
        failure=value.failure,
    )


def _failures(task: Task, method: str, groups: Sequence[str], why: str) -> tuple[Row, ...]:
    """One row for each group that could not be measured."""
    return tuple(Row(task.model, method, task.image, group, FAILED, None, failure=why) for group in groups)


def map_file(run: Path, pair: Pair | Row) -> Path:
    """Where a kept map lies."""
    parts = [part.replace("/", "_").replace(":", "_") for part in (pair.model, pair.method, pair.image)]
    return run.joinpath("maps", *parts[:2], f"{parts[2]}.safetensors")
