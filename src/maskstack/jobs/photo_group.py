"""A few photos of ``maskstack explain``: search for them together, and keep their explanations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskstack.draw.animation import frame_steps
from maskstack.errors import MaskstackError
from maskstack.explanation import Explanation
from maskstack.explanation.naming import EXPLANATION, with_ending
from maskstack.jobs.machine import pick_device
from maskstack.jobs.photo_files import Searched, result_files, write_files
from maskstack.jobs.photos import read_output
from maskstack.jobs.targets import OF_CONTRAST, PhotoTarget, finished_before
from maskstack.masks.result import OnProgress, Progress
from maskstack.masks.settings import SearchSettings
from maskstack.models import LoadedModel, load_model
from maskstack.models.timing import expected_seconds
from maskstack.models.weights import weights_digest
from maskstack.objectives.classification import class_name

if TYPE_CHECKING:
    from maskstack.jobs.explain import ExplainRequest


AT_A_TIME_ON_CPU = 8
"""Masked images in a pass that keep two cores busy; with more, each of them takes as long, see ``docs/speed.md``."""


def together(settings: SearchSettings, device: torch.device) -> int:
    """How many photos are searched for together: a photo alone does not keep a device busy.

    A single search magnifies rounding, and with it the photos beside it would change its map. A mean of several does
    not, see ``docs/speed.md``.

    >>> [together(SearchSettings(members=count), torch.device("cpu")) for count in (1, 2, 4, 10)]
    [1, 4, 2, 1]
    """
    if settings.members == 1:
        return 1
    most = min(settings.batch_size, AT_A_TIME_ON_CPU) if device.type == "cpu" else settings.batch_size
    return max(most // settings.mask_count, 1)


def groups_of(targets: Sequence[PhotoTarget], most: int) -> Iterator[list[PhotoTarget]]:
    """The targets in their order, in groups of at most so many whose inputs have the same size."""
    for _, alike in itertools.groupby(targets, key=lambda target: target.size):
        rest = list(alike)
        for first in range(0, len(rest), most):
            yield rest[first : first + most]


class FrameRecorder:
    """Keeps the stacked masks of the steps that the animation of a photo shows.

    Attributes:
        frames: Step and stacked masks, H x W.
        steps: Maximum number of steps of the search.
    """

    def __init__(self) -> None:
        self.frames: list[tuple[int, NDArray[np.float32]]] = []
        self.steps = 1

    def step(self, progress: Progress) -> None:
        """Called after each step of a search."""
        self.steps = progress.steps
        if progress.step in frame_steps(progress.steps) or not progress.open:
            self.frames.append((progress.step, progress.preview()[0].cpu().numpy()))


class GroupExplainer:
    """Explains a few photos at a time as a request asks.

    Args:
        request: What to explain, and how.
        net: The network, on the device.
        device: The device.

    Attributes:
        together: How many photos it explains at a time, at most.
    """

    def __init__(self, request: ExplainRequest, net: LoadedModel, device: torch.device) -> None:
        self.request, self.net, self.device = request, net, device
        self.mdm = request.explainer(net, request.objective)
        # The frames of an animation are those of one photo.
        self.together = 1 if request.animate else together(self.mdm.settings, device)

    @classmethod
    def of(cls, request: ExplainRequest) -> GroupExplainer:
        """With the network that a request names.

        Raises:
            MaskstackError: The network or the device cannot be used.
        """
        net = load_model(request.model, output=read_output(request.output))
        device = pick_device(request.device)
        net.model.to(device)
        return cls(request, net, device)

    def explain(
        self,
        targets: Sequence[PhotoTarget],
        step: Callable[[Progress], object],
        done: Callable[[list[Searched]], object],
    ) -> None:
        """Search for photos together, or one by one if that fails, so that those before the one at fault are explained.

        Args:
            targets: The photos and their classes.
            step: Called after each step of the search.
            done: Called with what was found.

        Raises:
            MaskstackError: A photo cannot be explained, or its explanation cannot be written.
        """
        try:
            found = self._search(targets, step)
        except MaskstackError:
            if len(targets) == 1:
                raise
            for target in targets:
                self.explain([target], step, done)
        else:
            done(found)

    def write(self, found: Sequence[Searched]) -> list[dict[str, str]]:
        """Draw explanations and write their files: of each, their paths by kind, the most useful to look at first.

        Raises:
            MaskstackError: A photo can no longer be read, or a file cannot be written.
        """
        return [write_files(self.request, searched) for searched in found]

    def expected_seconds(self, targets: Sequence[PhotoTarget], passes: Mapping[str, int]) -> float:
        """Seconds that so many passes of an image are expected to take, with as many images in a pass as in a search.

        Args:
            targets: Photos that are searched for together.
            passes: Numbers of ``forward`` and ``backward`` passes of all maps.
        """
        image = self.request.read(targets[0], self.net, self.device)[1]
        count = min(len(targets) * self.mdm.settings.mask_count, self.mdm.settings.batch_size)
        return expected_seconds(self.net.model, image.expand(count, *image.shape), passes)

    def is_complete(self, target: PhotoTarget) -> bool:
        """Whether all requested results exist: the map, its trust and the animation."""
        request, found = self.request, self._finished(target)
        if found is None or not all(file.is_file() for file in result_files(request, target.path).values()):
            return False
        return _has_all(found, request)

    def _search(self, targets: Sequence[PhotoTarget], step: Callable[[Progress], object]) -> list[Searched]:
        """Search for the photos that have no finished explanation, and keep what is found."""
        done = {target.path: found for target in targets if (found := self._undrawn(target)) is not None}
        todo = [target for target in targets if target.path not in done]
        new = self._searched(todo, step) if todo else {}
        return [new[each.path] if each.path in new else self._drawable(each, done[each.path]) for each in targets]

    def _searched(self, targets: Sequence[PhotoTarget], step: Callable[[Progress], object]) -> Mapping[Path, Searched]:
        images, places = [], []
        for target in targets:
            photo, image = self.request.read(target, self.net, self.device)
            images.append(image)
            places.append(self.net.geometry(photo))
        recorder = FrameRecorder()

        def on_progress(progress: Progress) -> None:
            step(progress)
            if self.request.animate:
                recorder.step(progress)

        batch = self._explained(torch.stack(images), [target.index for target in targets], on_progress)
        found = {}
        for row, (target, place) in enumerate(zip(targets, places, strict=True)):
            one = batch.select(row)
            one = replace(one, geometry=(place,), notes=self._notes(target, one), seconds=batch.seconds / len(targets))
            # First, so that it is there whatever happens while it is drawn.
            one.save(with_ending(target.path, EXPLANATION), readable=False)
            # A preprocessing that turns or bends the photo leaves only the picture that the network sees.
            seen = None if place else self.net.picture(images[row].cpu())
            found[target.path] = Searched(target, one, seen, recorder.frames, recorder.steps)
        return found

    def _explained(self, images: Tensor, classes: Sequence[int], on_progress: OnProgress) -> Explanation:
        request, mdm = self.request, self.mdm
        if request.against:
            against = None if request.against == "second" else mdm.user_model.classes(request.against)
            return mdm.contrast(images, classes, against, progress=on_progress)
        if request.regions:
            found = mdm.regions(images, classes, count=request.regions, progress=on_progress)
        else:
            found = mdm(images, classes, progress=on_progress)
        if request.searches > 1:
            found = mdm.check(images, found, seeds=request.trust_seeds, randomize=request.trust_randomized)
        return found

    def _notes(self, target: PhotoTarget, found: Explanation) -> dict[str, str]:
        notes = target.notes(self.request.model, self._weights, self.mdm.user_model.output) | self.request.opening
        if found.contrast is not None:
            classes = found.contrast.against[0], found.contrast.first[0]
            names = [class_name(self.mdm.user_model.class_names, int(each)) for each in classes]
            notes |= dict(zip(OF_CONTRAST, (self.request.against, *names), strict=True))
        return notes

    def _undrawn(self, target: PhotoTarget) -> Explanation | None:
        """An explanation that was saved, but perhaps not drawn, so that it is not searched for again."""
        found = self._finished(target) if self.request.resume and not self.request.animate else None
        return found if found is not None and _has_all(found, self.request) else None

    def _drawable(self, target: PhotoTarget, found: Explanation) -> Searched:
        if found.geometry and found.geometry[0]:
            return Searched(target, found)
        image = self.request.read(target, self.net, self.device)[1]
        return Searched(target, found, self.net.picture(image.cpu()))

    def _finished(self, target: PhotoTarget) -> Explanation | None:
        against = self.request.against
        return finished_before(target, self.mdm, self.request.model, self._weights, against=against)

    @cached_property
    def _weights(self) -> str:
        return weights_digest(self.net.model)


def _has_all(found: Explanation, request: ExplainRequest) -> bool:
    """Whether everything was measured and found that the request asks for."""
    if request.against:
        return found.contrast is not None
    if request.regions and (found.regions is None or found.regions.masks.shape[1] < request.regions):
        return False
    if request.searches == 1:
        return True
    return found.trust.seeds.shape[1] >= request.trust_seeds - 1 and (
        not request.trust_randomized or bool(found.trust.randomization.isfinite().all())
    )
