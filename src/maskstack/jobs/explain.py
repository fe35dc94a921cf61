"""The work of ``maskstack explain``: check everything, then explain photo by photo and write the results."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskstack.draw.animation import FORMATS, animation, frame_steps
from maskstack.draw.overlay import COLOURS, check_style
from maskstack.draw.pictures import save_png
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explanation import Explanation
from maskstack.explanation.map_files import ENDINGS, check_map_kind, write_map
from maskstack.files import write_whole
from maskstack.jobs.beside import Beside
from maskstack.jobs.machine import check_writable, pick_device
from maskstack.jobs.naming import EXPLANATION, FIGURE, OVERLAY, file_part, free_name, masks_ending, with_ending
from maskstack.jobs.photos import (
    OF_CONTRAST,
    PhotosRequest,
    PhotoTarget,
    is_finished,
    predict,
    read_output,
    warn_of_random_weights,
)
from maskstack.jobs.progress import JobReporter
from maskstack.jobs.volumes import explain_volumes
from maskstack.masks.result import Progress
from maskstack.models import load_model, said_of
from maskstack.models.speed import pass_seconds
from maskstack.models.volumes import VolumePreprocess
from maskstack.objectives.classification import class_name
from maskstack.runs.folder import locked


@dataclass(frozen=True, kw_only=True)
class ExplainRequest(PhotosRequest):
    """What to explain, and how.

    Attributes:
        target: Class name or index, or ``top5`` with any number.
        model: Spec of the network.
        objective: Which score of the class is explained.
        trust_seeds: Number of seeds whose maps are compared; 1 compares none.
        trust_randomized: Whether the map is compared with that of the network with random parameters.
        regions: Number of regions that each suffice, to find at most; 0 for the map alone.
        against: Class name or index that the answer is compared with, or ``second``; empty for none.
        animate: ``gif`` or ``webp`` to write the masks while they are learned; None for no animation.
        map_kind: ``npy``, ``png`` or ``nifti`` to write the map in the photo's frame; None for no such file.
        style: ``contour``, ``heat`` or ``masked``.
        opacity: Opacity of the colours, or of the veil of ``masked``; None for the style's own.
        colours: Name of a matplotlib colour map.
        grids: Whether the figure has a row with the mask of each size.
    """

    model: str = "bundled"
    objective: str = "probability"
    trust_seeds: int = 1
    trust_randomized: bool = False
    regions: int = 0
    against: str = ""
    animate: str | None = None
    map_kind: str | None = None
    style: str = "contour"
    opacity: float | None = None
    colours: str = COLOURS
    grids: bool = False

    def check(self) -> None:
        """Check the options of the files.

        Raises:
            InputError: An option cannot be used.
            MissingExtraError: The package for a file is not installed.
        """
        if self.against and (self.regions or self.searches > 1 or self.objective != "probability"):
            raise InputError("--against makes a map of its own; leave out --regions, --objective and --trust-...")
        if self.animate is not None and self.animate not in FORMATS:
            raise InputError(f"--animate {self.animate} is not an animation format; give gif or webp")
        if self.map_kind is not None:
            check_map_kind(self.map_kind)
        check_style(self.style, self.opacity, self.colours)

    @property
    def drawing(self) -> dict[str, Any]:
        """Options of the pictures."""
        return {"style": self.style, "opacity": self.opacity, "colours": self.colours}

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
        MaskstackError: The request cannot be carried out, or another process writes to the folder.
    """
    with contextlib.ExitStack() as reserved:
        _explain_photos(request, reporter, reserved)


def _explain_photos(request: ExplainRequest, reporter: JobReporter, reserved: contextlib.ExitStack) -> None:
    request.check()
    net = load_model(request.model, output=read_output(request.output))
    device = pick_device(request.device)
    net.model.to(device)
    mdm = request.explainer(net, request.objective)
    warn_of_random_weights(request.model, net, reporter)
    if isinstance(net.preprocess, VolumePreprocess):
        explain_volumes(request, net, mdm, reporter, reserved, device=device)
        return
    targets: list[PhotoTarget] = []
    taken: set[str] = set()
    for file, photo in request.open_photos(reporter.warn):
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
            place = request.out / f"{stem}{suffix}"
            targets.append(PhotoTarget(file, tuple(image.shape[1:]), index, place, said_of(photo)))
    check_writable(request.out)  # after the photos were read, so that a photo that is refused leaves no folder
    reserved.enter_context(locked(request.out))
    todo = [target for target in targets if not (request.resume and _is_complete(target, mdm, request))]
    reporter.cost(
        mdm.cost(len(todo) * request.searches, regions=request.regions, contrast=bool(request.against)),
        todo=len(todo),
        done=len(targets) - len(todo),
        seconds=sum(pass_seconds(net.model, request.read(todo[0], net, device)[1].unsqueeze(0))) if todo else 0.0,
    )
    with reporter.searching(len(todo)), Beside() as beside:
        for number, target in enumerate(todo):
            reporter.begin(number)
            recorder = FrameRecorder()
            photo, image = request.read(target, net, device)
            found = _explain(mdm, target, image.unsqueeze(0), request, reporter, recorder)
            explanation = replace(found, geometry=(net.geometry(photo),))
            # First, so that it is there whatever happens while it is drawn.
            explanation.save(with_ending(target.path, EXPLANATION), readable=False)
            # A preprocessing that turns or bends the photo leaves only the picture that the network sees.
            picture = photo if explanation.geometry[0] else net.picture(image.cpu())
            beside.run(
                partial(_write, target, picture, explanation, request, recorder),
                partial(reporter.result, target.photo, explanation),
            )


def _explain(
    mdm: MDM,
    target: PhotoTarget,
    images: Tensor,
    request: ExplainRequest,
    reporter: JobReporter,
    recorder: FrameRecorder,
) -> Explanation:
    # An explanation that was saved, but not drawn, is not searched for again.
    found = _finished(target, mdm, request) if request.resume else None
    if found is not None and not request.animate and _has_all(found, request):
        return found

    def on_progress(progress: Progress) -> None:
        reporter.step(progress)
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


def _write(
    target: PhotoTarget,
    picture: Image.Image,
    explanation: Explanation,
    request: ExplainRequest,
    recorder: FrameRecorder,
) -> dict[str, str]:
    drawn = explanation.overlay(picture, **request.drawing)
    figure = explanation.plot(picture, grids=request.grids, **request.drawing)
    files = {
        "overlay": write_whole(with_ending(target.path, OVERLAY), partial(save_png, drawn)),
        "figure": write_whole(with_ending(target.path, FIGURE), partial(save_png, figure)),
    }
    if request.animate:
        content = animation(
            picture,
            recorder.frames,
            steps=recorder.steps,
            kind=request.animate,
            geometry=explanation.geometry[0],
        )
        place = with_ending(target.path, masks_ending(request.animate))
        files["animation"] = write_whole(place, lambda file: file.write_bytes(content))
    if request.map_kind:
        place = with_ending(target.path, ENDINGS[request.map_kind])
        files["map"] = write_map(place, explanation.photo_map(), request.map_kind)
    # The readable file comes last: a photo that has it is finished.
    files["explanation"] = explanation.save(with_ending(target.path, EXPLANATION))
    return {kind: str(path) for kind, path in files.items()}


def _is_complete(target: PhotoTarget, mdm: MDM, request: ExplainRequest) -> bool:
    """Whether all requested results exist: the map, its trust and the animation."""
    found = _finished(target, mdm, request)
    endings = [OVERLAY, FIGURE, *([masks_ending(request.animate)] if request.animate else [])]
    endings += [ENDINGS[request.map_kind]] if request.map_kind else []
    if found is None or not all(with_ending(target.path, ending).is_file() for ending in endings):
        return False
    return _has_all(found, request)


def _finished(target: PhotoTarget, mdm: MDM, request: ExplainRequest) -> Explanation | None:
    path = with_ending(target.path, EXPLANATION)
    return is_finished(target, mdm, request.model, path, against=request.against)


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
