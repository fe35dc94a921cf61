"""One photo of ``maskstack explain``: search, keep the explanation, draw it and write the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskstack.draw.animation import animation, frame_steps
from maskstack.draw.pictures import save_png
from maskstack.explanation import Explanation
from maskstack.explanation.map_files import ENDINGS, write_map
from maskstack.files import write_whole
from maskstack.jobs.machine import pick_device
from maskstack.jobs.naming import EXPLANATION, FIGURE, OVERLAY, masks_ending, with_ending
from maskstack.jobs.photos import OF_CONTRAST, PhotoTarget, is_finished, read_output
from maskstack.masks.result import Progress
from maskstack.models import LoadedModel, load_model
from maskstack.objectives.classification import class_name

if TYPE_CHECKING:
    from maskstack.jobs.explain import ExplainRequest


class FrameRecorder:
    """Keeps the stacked masks of the steps that an animation shows.

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


@dataclass(frozen=True, eq=False)
class Searched:
    """An explanation that is to be drawn.

    Attributes:
        target: The photo and its class.
        explanation: The explanation.
        picture: The photo, or the picture that the network sees.
        recorder: The masks for an animation.
    """

    target: PhotoTarget
    explanation: Explanation
    picture: Image.Image
    recorder: FrameRecorder


class OnePhoto:
    """Explains one photo at a time as a request asks.

    Args:
        request: What to explain, and how.
        net: The network, on the device.
        device: The device.
    """

    def __init__(self, request: ExplainRequest, net: LoadedModel, device: torch.device) -> None:
        self.request, self.net, self.device = request, net, device
        self.mdm = request.explainer(net, request.objective)

    @classmethod
    def of(cls, request: ExplainRequest) -> OnePhoto:
        """With the network that a request names.

        Raises:
            MaskstackError: The network or the device cannot be used.
        """
        net = load_model(request.model, output=read_output(request.output))
        device = pick_device(request.device)
        net.model.to(device)
        return cls(request, net, device)

    def search(self, target: PhotoTarget, step: Callable[[Progress], object]) -> Searched:
        """Search, and keep the explanation.

        Args:
            target: The photo and its class.
            step: Called after each step of the search.

        Raises:
            MaskstackError: The photo cannot be explained, or its explanation cannot be written.
        """
        recorder = FrameRecorder()
        photo, image = self.request.read(target, self.net, self.device)
        found = self._explained(target, image.unsqueeze(0), step, recorder)
        explanation = replace(found, geometry=(self.net.geometry(photo),))
        # First, so that it is there whatever happens while it is drawn.
        explanation.save(with_ending(target.path, EXPLANATION), readable=False)
        # A preprocessing that turns or bends the photo leaves only the picture that the network sees.
        picture = photo if explanation.geometry[0] else self.net.picture(image.cpu())
        return Searched(target, explanation, picture, recorder)

    def write(self, searched: Searched) -> dict[str, str]:
        """Draw an explanation and write its files: their paths by kind, the most useful to look at first.

        Raises:
            OutputError: A file cannot be written.
        """
        request, path, explanation = self.request, searched.target.path, searched.explanation
        drawn = explanation.overlay(searched.picture, **request.drawing)
        figure = explanation.plot(searched.picture, grids=request.grids, **request.drawing)
        files = {
            "overlay": write_whole(with_ending(path, OVERLAY), partial(save_png, drawn)),
            "figure": write_whole(with_ending(path, FIGURE), partial(save_png, figure)),
        }
        if request.animate:
            content = animation(
                searched.picture,
                searched.recorder.frames,
                steps=searched.recorder.steps,
                kind=request.animate,
                geometry=explanation.geometry[0],
            )
            place = with_ending(path, masks_ending(request.animate))
            files["animation"] = write_whole(place, lambda file: file.write_bytes(content))
        if request.map_kind:
            files["map"] = write_map(
                with_ending(path, ENDINGS[request.map_kind]), explanation.photo_map(), request.map_kind
            )
        # The readable file comes last: a photo that has it is finished.
        files["explanation"] = explanation.save(with_ending(path, EXPLANATION))
        return {kind: str(path) for kind, path in files.items()}

    def is_complete(self, target: PhotoTarget) -> bool:
        """Whether all requested results exist: the map, its trust and the animation."""
        request, found = self.request, self._finished(target)
        endings = [OVERLAY, FIGURE, *([masks_ending(request.animate)] if request.animate else [])]
        endings += [ENDINGS[request.map_kind]] if request.map_kind else []
        if found is None or not all(with_ending(target.path, ending).is_file() for ending in endings):
            return False
        return _has_all(found, request)

    def _explained(
        self, target: PhotoTarget, images: Tensor, step: Callable[[Progress], object], recorder: FrameRecorder
    ) -> Explanation:
        request, mdm = self.request, self.mdm
        # An explanation that was saved, but not drawn, is not searched for again.
        found = self._finished(target) if request.resume else None
        if found is not None and not request.animate and _has_all(found, request):
            return found

        def on_progress(progress: Progress) -> None:
            step(progress)
            if request.animate:
                recorder.step(progress)

        if request.against:
            against = None if request.against == "second" else mdm.user_model.classes(request.against)
            explanation = mdm.contrast(images, target.index, against, progress=on_progress)
        elif request.regions:
            explanation = mdm.regions(images, target.index, count=request.regions, progress=on_progress)
        else:
            explanation = mdm(images, target.index, progress=on_progress)
        if request.searches > 1:
            explanation = mdm.check(images, explanation, seeds=request.trust_seeds, randomize=request.trust_randomized)
        notes = target.notes(request.model, mdm.user_model.output)
        if explanation.contrast is not None:
            classes = explanation.contrast.against[0], explanation.contrast.first[0]
            names = [class_name(mdm.user_model.class_names, int(each)) for each in classes]
            notes |= dict(zip(OF_CONTRAST, (request.against, *names), strict=True))
        return replace(explanation, notes=notes)

    def _finished(self, target: PhotoTarget) -> Explanation | None:
        path = with_ending(target.path, EXPLANATION)
        return is_finished(target, self.mdm, self.request.model, path, against=self.request.against)


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
