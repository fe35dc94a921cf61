"""The work of a run, the same on every engine: one method on one image of one network, measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from maskstack.datasets import AnnotatedImages
from maskstack.errors import InputError, ModelError, reason
from maskstack.explainers.base import NOT_FINITE, CostedExplainer
from maskstack.explainers.table import make_explainer
from maskstack.files import file_name
from maskstack.leaderboard.case import Case, Cases
from maskstack.leaderboard.measures import GROUPS, MapUnderTest
from maskstack.leaderboard.request import BenchRequest
from maskstack.models import LoadedModel, load_model
from maskstack.models.weights import weights_digest
from maskstack.runs.rows import FAILED, ResultRow, result_rows
from maskstack.scoring import class_probabilities
from maskstack.tensor_files import check_digest, header_of, read_tensors, write_tensors


@dataclass(frozen=True)
class ImageTask:
    """What is missing on one image of one network: for each method the groups of metrics."""

    model: str
    image: str
    groups: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class MeasuredMap:
    """The rows of one method on one image, and the map, H x W, if there is one and it is to be kept.

    ``seconds`` is the time that making and measuring it took.
    """

    model: str
    method: str
    image: str
    rows: tuple[ResultRow, ...]
    saliency: NDArray[np.float16] | None = None
    seconds: float = 0.0


class BenchNetwork:
    """A network of the run with its images and methods.

    Args:
        spec: The network's spec.
        request: What the run measures.
    """

    def __init__(self, spec: str, request: BenchRequest) -> None:
        self.request = request
        self.net: LoadedModel = load_model(spec)
        self.net.model.to(torch.device(request.device))
        self.images: AnnotatedImages = request.images_for(self.net)
        self.cases = Cases(self.net, target=request.target)
        if self.numbered:
            self._check_classes(spec)
        self._by_name = {image.name: image for image in self.images}
        self._explainers: dict[str, CostedExplainer] = {}

    @property
    def numbered(self) -> tuple[str, ...]:
        """The data's class names, if they can only be assumed to be the network's classes in this order; else empty."""
        wanted = self.request.target == "label" or self.request.which == "right"
        named = self.net.class_names or self.images.indices_given
        return self.images.class_names if wanted and not named else ()

    def _check_classes(self, spec: str) -> None:
        """Check that a network without class names has as many classes as the data names.

        Raises:
            InputError: It has another number, so that it is unknown which is which.
        """
        blank = self.net.preprocess(Image.new("RGB", (64, 64))).unsqueeze(0)
        classes = class_probabilities(self.net, blank.to(self.request.device)).shape[1]
        if classes != len(self.numbered):
            named = f"{len(self.numbered)} class{'' if len(self.numbered) == 1 else 'es'}"
            raise InputError(
                f"the data names {named}, but {spec} has {classes} without names, so it is unknown which is which; add "
                "classes=FILE to the spec, or give --target predicted"
            )

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
    """Works on tasks; loads each network with its first task.

    Args:
        request: What the run measures.
        weights: Digests of the weights that the networks must have, by their names; empty if any will do.
    """

    def __init__(self, request: BenchRequest, weights: Mapping[str, str] | None = None) -> None:
        self.request = request
        self._wanted = dict(weights or {})
        self._networks: dict[str, BenchNetwork] = {}

    def network(self, name: str) -> BenchNetwork:
        """A network of the run, by its name.

        Raises:
            MaskstackError: It cannot be loaded, or has other weights than it must have.
        """
        if name not in self._networks:
            network = BenchNetwork(self.request.specs[name], self.request)
            if self._wanted.get(name) not in (None, weights_digest(network.net.model)):
                raise ModelError(
                    f"the network {name} has other weights in this process than where the run was started; give all "
                    "machines the same file of trained weights"
                )
            self._networks[name] = network
        return self._networks[name]

    def weights(self) -> dict[str, str]:
        """Digest of each network's weights, by its name."""
        return {name: weights_digest(self.network(name).net.model) for name in self.request.specs}

    def __call__(self, task: ImageTask) -> Iterator[MeasuredMap]:
        """Work on a task, map by map. A failure is a row with its reason."""
        started = time.perf_counter()
        for found in self._maps(task):
            yield replace(found, seconds=time.perf_counter() - started)
            started = time.perf_counter()

    def _maps(self, task: ImageTask) -> Iterator[MeasuredMap]:
        network = self.network(task.model)
        try:
            case = network.case(task.image)
        # An error of a file or a network is a result of this image and must not end the run.
        except Exception as error:
            for method, groups in task.groups.items():
                yield failed_map(task, method, groups, f"image: {reason(error)}")
            return
        for method, groups in task.groups.items():
            yield self._measured(network, case, task, method, groups)

    def _measured(
        self, network: BenchNetwork, case: Case, task: ImageTask, method: str, groups: Sequence[str]
    ) -> MeasuredMap:
        try:
            explainer = network.explainer(method)
            found = explainer(case.image.unsqueeze(0), case.target)
        except Exception as error:
            return failed_map(task, method, groups, f"method: {reason(error)}")
        if NOT_FINITE in found.trust.problems:
            return failed_map(task, method, groups, f"method: {NOT_FINITE}")
        tested = MapUnderTest(case, found.saliency[0, 0], explainer, network.net.model, self.request.curve_steps)
        rows: list[ResultRow] = []
        for group in groups:
            try:
                values = GROUPS[group].measure(tested)
            except Exception as error:
                rows += failed_map(task, method, [group], f"metrics: {reason(error)}").rows
            else:
                rows += result_rows(
                    values,
                    (task.model, method, task.image, group),
                    target=case.target,
                    forward=int(found.forward_passes[0]),
                    backward=int(found.backward_passes[0]),
                    seconds=found.seconds,
                )
        kept = found.saliency[0, 0].cpu().numpy().astype(np.float16) if self.request.keep_maps else None
        return MeasuredMap(task.model, method, task.image, tuple(rows), kept)


def failed_map(task: ImageTask, method: str, groups: Sequence[str], why: str) -> MeasuredMap:
    """A map that was not made: a row for each group, with the reason."""
    of = task.model, method, task.image
    return MeasuredMap(*of, tuple(ResultRow(*of, group, FAILED, None, failure=why) for group in groups))


def map_file(run: Path, model: str, method: str, image: str) -> Path:
    """The file of a kept map; no two maps share one, whatever the names are."""
    return run / "maps" / file_name(model) / file_name(method) / f"{file_name(image)}.safetensors"


def old_map_file(run: Path, model: str, method: str, image: str) -> Path | None:
    """The file of a map that an older version kept. Several maps may share it; its content does not say whose it is."""
    parts = [part.replace("/", "_").replace(":", "_") for part in (model, method, image)]
    return None if {".", ".."} & set(parts) else run.joinpath("maps", *parts[:2], f"{parts[2]}.safetensors")


def write_map(run: Path, found: MeasuredMap) -> None:
    """Keep a map, with the names of its network, its method and its image.

    Raises:
        OutputError: The file cannot be written.
    """
    if found.saliency is not None:
        about = {"model": found.model, "method": found.method, "image": found.image}
        saliency = torch.from_numpy(np.ascontiguousarray(found.saliency))
        write_tensors(map_file(run, found.model, found.method, found.image), {"saliency": saliency}, about)


def find_map(run: Path, model: str, method: str, image: str) -> Path | None:
    """The file of a kept map; None if there is none."""
    wanted = {"model": model, "method": method, "image": image}
    for file in (map_file(run, model, method, image), old_map_file(run, model, method, image)):
        if file is not None and file.is_file():
            header = header_of(file)
            if all(header.get(name, value) == value for name, value in wanted.items()):
                return file
    return None


def read_map(file: Path) -> NDArray[np.float32]:
    """A kept map, H x W.

    Raises:
        InputError: The file is damaged.
    """
    tensors, about = read_tensors(file)
    check_digest(file, tensors, about, required="image" in about)
    saliency = tensors.get("saliency")
    if saliency is None or saliency.ndim != 2 or not bool(((saliency >= 0) & (saliency <= 1.001)).all()):
        raise InputError(f"{file} does not hold a map with values from 0 to 1; measure it again")
    found: NDArray[np.float32] = saliency.float().numpy()
    return found
