"""The work of ``maskstack explain``: check everything, then explain a few photos at a time and write the results."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from maskstack.draw.animation import FORMATS
from maskstack.draw.overlay import COLOURS, check_style
from maskstack.errors import InputError
from maskstack.explanation.map_files import check_map_kind
from maskstack.explanation.naming import file_part, free_name
from maskstack.jobs.beside import Beside
from maskstack.jobs.choosing import predict, top_count, warn_of_network
from maskstack.jobs.listing import photo_files
from maskstack.jobs.machine import check_writable, pick_device, process_count
from maskstack.jobs.photo_files import Searched, result_files
from maskstack.jobs.photo_group import GroupExplainer, groups_of
from maskstack.jobs.photos import PhotosRequest
from maskstack.jobs.processes import Processes, threads_of
from maskstack.jobs.progress import JobReporter
from maskstack.jobs.targets import PhotoTarget, report_finished, warn_of_replacing
from maskstack.jobs.volumes import explain_volumes
from maskstack.models import find_class, said_of
from maskstack.models.volumes import VolumePreprocess
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
        workers: Number of processes that share the photos, on the CPU; None to decide by their number and the memory.
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
    workers: int | None = None

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
        if (self.workers or 1) > 1 and pick_device(self.device).type != "cpu":
            raise InputError("--workers shares the cores of the CPU; leave it out, or give --device cpu")

    @property
    def drawing(self) -> dict[str, Any]:
        """Options of the pictures."""
        return {"style": self.style, "opacity": self.opacity, "colours": self.colours}

    @property
    def searches(self) -> int:
        """Number of searches for a map, including those that only measure how far to trust it."""
        return self.trust_seeds + self.trust_randomized


def explain_photos(request: ExplainRequest, reporter: JobReporter) -> None:
    """Explain photos and write the results; all input is checked before the first search.

    Raises:
        MaskstackError: The request cannot be carried out, or another process writes to the folder.
    """
    # The processes end before the folder is free for others.
    with contextlib.ExitStack() as reserved, contextlib.ExitStack() as running:
        _explain_photos(request, reporter, reserved, running)


def _explain_photos(
    request: ExplainRequest, reporter: JobReporter, reserved: contextlib.ExitStack, running: contextlib.ExitStack
) -> None:
    request.check()
    explainer = GroupExplainer.of(request)
    warn_of_network(request.model, explainer.net, reporter)
    if isinstance(explainer.net.preprocess, VolumePreprocess):
        explain_volumes(request, explainer.net, explainer.mdm, reporter, reserved, device=explainer.device)
        return
    # A run that resumes does not know yet what is left to do, so it starts its processes later.
    maps = 0 if request.resume else len(photo_files(request.photos)) * (top_count(request.target) or 1)
    processes = _processes(request, explainer, maps, running)
    targets = _targets(request, explainer, reporter)
    check_writable(request.out)  # after the photos were read, so that a photo that is refused leaves no folder
    reserved.enter_context(locked(request.out))
    todo = [target for target in targets if not (request.resume and explainer.is_complete(target))]
    warn_of_replacing(todo, reporter.warn)
    processes = processes or _processes(request, explainer, len(todo), running)
    workers = min(processes.workers, max(len(todo), 1)) if processes else 1
    if processes:
        processes.wait()
    groups = list(groups_of(todo, min(explainer.together, max(len(todo) // workers, 1))))
    searches = len(todo) * request.searches
    passes = explainer.mdm.cost(searches, regions=request.regions, contrast=bool(request.against))
    with threads_of(workers):
        seconds = explainer.expected_seconds(groups[0], passes) / workers if groups else 0.0
    reporter.cost(passes, todo=len(todo), done=len(targets) - len(todo), seconds=seconds)
    with reporter.searching(len(todo)):
        if processes:
            processes.explain(groups, reporter)
        else:
            _explain_groups(explainer, groups, reporter)
    report_finished(targets, todo, lambda target: result_files(request, target.path), reporter)


def _targets(request: ExplainRequest, explainer: GroupExplainer, reporter: JobReporter) -> list[PhotoTarget]:
    """The classes of all photos that are to be explained, chosen by their predictions."""
    net, targets, taken = explainer.net, list[PhotoTarget](), set[str]()
    rivals = [find_class(net.class_names, request.against)] if request.against not in ("", "second") else []
    for file, photo in request.open_photos(reporter.warn):
        image, classes = predict(
            net,
            photo,
            request.target,
            device=explainer.device,
            label=file,
            shown=5,
            reporter=reporter,
            output=request.output,
        )
        if not {*classes}.isdisjoint(rivals):
            name = net.class_name(rivals[0])
            raise InputError(f"{file} is explained as {name}, so --against needs another class, or second")
        stem = free_name(Path(file).stem, taken)
        for rank, index in enumerate(classes, start=1):
            suffix = f".{rank}-{file_part(net.class_name(index))}" if len(classes) > 1 else ""
            place = request.out / f"{stem}{suffix}"
            targets.append(PhotoTarget(file, tuple(image.shape[1:]), index, place, said_of(photo)))
    return targets


def _explain_groups(explainer: GroupExplainer, groups: Sequence[list[PhotoTarget]], reporter: JobReporter) -> None:
    """Search for a group of photos while the one before it is drawn and written."""

    def report(found: Sequence[Searched], written: Sequence[Mapping[str, str]]) -> None:
        for searched, files in zip(found, written, strict=True):
            reporter.result(searched.target.photo, searched.explanation, files)

    begun = 0
    with Beside() as beside:
        for group in groups:
            reporter.begin(begun, len(group))
            begun += len(group)
            explainer.explain(
                group, reporter.step, lambda found: beside.run(partial(explainer.write, found), partial(report, found))
            )


def _processes(
    request: ExplainRequest, explainer: GroupExplainer, maps: int, running: contextlib.ExitStack
) -> Processes | None:
    """Start the processes for a number of maps; None where this process is enough."""
    workers = min(request.workers or process_count(maps, explainer.device), maps)
    return running.enter_context(Processes(request, workers)) if workers > 1 else None
