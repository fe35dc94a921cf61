"""The work of ``maskstack explain``: check everything, then explain photo by photo and write the results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskstack.draw.animation import FORMATS, animation, frame_steps
from maskstack.draw.overlay import overlay
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explanation import Explanation
from maskstack.files import write_whole
from maskstack.jobs.machine import check_writable, pick_device
from maskstack.jobs.naming import EXPLANATION, FIGURE, OVERLAY, file_part, free_name, masks_ending, with_ending
from maskstack.jobs.photos import PhotosRequest, PhotoTarget, is_finished, predict, read_output, warn_of_random_weights
from maskstack.jobs.progress import JobReporter
from maskstack.masks.result import Progress
from maskstack.models import LoadedModel, load_model, said_of
from maskstack.models.speed import pass_seconds


@dataclass(frozen=True, kw_only=True)
class ExplainRequest(PhotosRequest):
    """What to explain, and how.

    Attributes:
        target: Class name or index, or ``top5`` with any number.
        model: Spec of the network.
        objective: Which score of the class is explained.
        trust_seeds: Number of seeds whose maps are compared; 1 compares none.
        trust_randomized: Whether the map is compared with that of the network with random parameters.
        animate: ``gif`` or ``webp`` to write the masks while they are learned; None for no animation.
    """

    model: str = "bundled"
    objective: str = "probability"
    trust_seeds: int = 1
    trust_randomized: bool = False
    animate: str | None = None

    @property
    def searches(self) -> int:
        """Number of searches for a map, including those that only measure how far to trust it."""
        return self.trust_seeds + self.trust_randomized


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


def explain_photos(request: ExplainRequest, reporter: JobReporter) -> None:
    """Explain photos and write the results; all input is checked before the first search.

    Raises:
        MaskstackError: The request cannot be carried out.
    """
    if request.animate is not None and request.animate not in FORMATS:
        raise InputError(f"--animate {request.animate} is not an animation format; give gif or webp")
    photos = request.open_photos()
    net = load_model(request.model, output=read_output(request.output))
    device = pick_device(request.device)
    net.model.to(device)
    mdm = request.explainer(net, request.objective)
    check_writable(request.out)
    warn_of_random_weights(request.model, net, reporter)
    targets: list[PhotoTarget] = []
    taken: set[str] = set()
    for file, photo in zip(request.photos, photos, strict=True):
        image, classes = predict(
            net,
            photo,
            request.target,
            device=device,
            label=file,
            shown=5,
            reporter=reporter,
            output=request.output,
        )
        stem = free_name(Path(file).stem, taken)
        for rank, index in enumerate(classes, start=1):
            suffix = f".{rank}-{file_part(net.class_name(index))}" if len(classes) > 1 else ""
            targets.append(PhotoTarget(file, image, index, request.out / f"{stem}{suffix}", said_of(photo)))
    todo = [target for target in targets if not (request.resume and _is_complete(target, mdm, request))]
    reporter.cost(
        mdm.cost(len(todo) * request.searches),
        todo=len(todo),
        done=len(targets) - len(todo),
        seconds=sum(pass_seconds(net.model, todo[0].image.unsqueeze(0))) if todo else 0.0,
    )
    with reporter.searching(len(todo)):
        for target in todo:
            recorder = FrameRecorder()
            explanation = _explain(mdm, target, request, reporter, recorder)
            reporter.result(target.photo, explanation, _write(target, net, explanation, request.animate, recorder))


def _explain(
    mdm: MDM, target: PhotoTarget, request: ExplainRequest, reporter: JobReporter, recorder: FrameRecorder
) -> Explanation:
    def on_progress(progress: Progress) -> None:
        reporter.step(progress)
        if request.animate:
            recorder.step(progress)

    images = target.image.unsqueeze(0)
    explanation = mdm(images, target.index, progress=on_progress)
    if request.searches > 1:
        explanation = mdm.check(images, explanation, seeds=request.trust_seeds, randomize=request.trust_randomized)
    return replace(explanation, notes=target.notes(request.model, mdm.user_model.output))


def _write(
    target: PhotoTarget, net: LoadedModel, explanation: Explanation, animate: str | None, recorder: FrameRecorder
) -> dict[str, str]:
    picture = net.picture(target.image.cpu())
    drawn = overlay(picture, explanation.saliency[0, 0].cpu().numpy())
    figure = explanation.plot(picture)
    files = {
        "overlay": write_whole(with_ending(target.path, OVERLAY), drawn.save),
        "figure": write_whole(with_ending(target.path, FIGURE), lambda file: figure.savefig(file, dpi=120)),
    }
    if animate:
        content = animation(picture, recorder.frames, steps=recorder.steps, kind=animate)
        place = with_ending(target.path, masks_ending(animate))
        files["animation"] = write_whole(place, lambda file: file.write_bytes(content))
    # Last, because a photo that has this file counts as finished.
    files["explanation"] = explanation.save(with_ending(target.path, EXPLANATION))
    return {kind: str(path) for kind, path in files.items()}


def _is_complete(target: PhotoTarget, mdm: MDM, request: ExplainRequest) -> bool:
    """Whether all requested results exist: the map, its trust and the animation."""
    found = is_finished(target, mdm, request.model, with_ending(target.path, EXPLANATION))
    if found is None or (request.animate and not with_ending(target.path, masks_ending(request.animate)).is_file()):
        return False
    if request.searches == 1:
        return True
    return (
        found.trust is not None
        and found.trust.seeds.shape[1] >= request.trust_seeds - 1
        and (not request.trust_randomized or bool(found.trust.randomization.isfinite().all()))
    )
