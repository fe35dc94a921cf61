"""The work of ``maskstack explain`` for networks that take volumes: montages, and maps of the files' own geometry."""

from __future__ import annotations

import io
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from maskstack.draw.badges import DO_NOT_USE
from maskstack.draw.montage import montage, montage_slices, slice_pictures
from maskstack.draw.pictures import encoded, save_png
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explanation import Explanation
from maskstack.explanation.map_files import ENDINGS as MAP_ENDINGS
from maskstack.explanation.map_files import save_packed
from maskstack.explanation.naming import EXPLANATION, OVERLAY, free_name, slices_ending, with_ending
from maskstack.explanation.view import REGION_VALUE, title
from maskstack.files import write_whole
from maskstack.jobs.choosing import choose
from maskstack.jobs.listing import photo_files
from maskstack.jobs.machine import check_writable
from maskstack.jobs.progress import JobReporter
from maskstack.jobs.targets import PhotoTarget, finished_before, report_finished, warn_of_replacing
from maskstack.models import LoadedModel
from maskstack.models.levels import joined, read_window
from maskstack.models.timing import expected_seconds
from maskstack.models.volumes import Volume, VolumePreprocess, is_volume_file, open_volume
from maskstack.models.weights import weights_digest
from maskstack.runs.folder import locked

if TYPE_CHECKING:
    from maskstack.jobs.explain import ExplainRequest

FRAME = 150
"""Duration of a slice in the animation, in milliseconds."""


def explain_volumes(
    request: ExplainRequest,
    net: LoadedModel,
    mdm: MDM,
    reporter: JobReporter,
    reserved: ExitStack,
    *,
    device: torch.device,
) -> None:
    """Explain volumes and write, for each, a montage of slices, the map as NIfTI and the explanation.

    Raises:
        MaskstackError: A file or the request cannot be used, or another process writes to the folder.
    """
    files = _checked_files(request)
    targets: list[PhotoTarget] = []
    taken: set[str] = set()
    read = partial(_read, request, net, device=device)
    for file, (volume, image) in request.opened(files, read, reporter.warn):
        size = " x ".join(map(str, image.shape[1:]))
        own = " x ".join(map(str, volume.values.shape[1:]))
        resized = f"resized from {own} to {size} (slices, rows, columns)" if own != size else ""
        said = joined(f"a volume of {own} (slices, rows, columns)" if own == size else resized, volume.levels.said)
        classes = choose(net, image, request.target, label=file, said=said, reporter=reporter, output=request.output)
        for index in classes:
            suffix = f".{index}" if len(classes) > 1 else ""
            stem = Path(file).name.removesuffix(".gz").rpartition(".")[0]
            place = request.out / f"{free_name(stem, taken)}{suffix}"
            targets.append(PhotoTarget(file, tuple(image.shape[1:]), index, place, said))
    check_writable(request.out)
    reserved.enter_context(locked(request.out))
    weights = weights_digest(net.model)
    todo = [target for target in targets if not (request.resume and _is_complete(target, mdm, request, weights))]
    warn_of_replacing(todo, reporter.warn)
    passes = mdm.cost(len(todo))
    seconds = expected_seconds(net.model, _read(request, net, todo[0].photo, device)[1][None], passes) if todo else 0.0
    reporter.cost(passes, todo=len(todo), done=len(targets) - len(todo), seconds=seconds)
    with reporter.searching(len(todo)):
        for number, target in enumerate(todo):
            reporter.begin(number)
            volume, image = _read(request, net, target.photo, device)
            found = finished_before(target, mdm, request.model, weights) if request.resume else None
            if found is None:
                found = mdm(image[None], target.index, progress=reporter.step)
                notes = target.notes(request.model, weights, mdm.user_model.output)
                found = replace(found, notes=notes | request.opening)
                found.save(with_ending(target.path, EXPLANATION), readable=False)
            reporter.result(target.photo, found, _write(target, volume, found, request))
    report_finished(targets, todo, lambda target: _files(target, request), reporter)


def _checked_files(request: ExplainRequest) -> tuple[str, ...]:
    """The files of volumes, with each folder replaced by those that lie in it, after the options were checked."""
    wrong = [file for file in request.photos if not (Path(file).is_dir() or is_volume_file(file))]
    if wrong:
        raise InputError(
            f"{wrong[0]} is not a volume, which this network takes; give NIfTI files, or TIFF files of several pages"
        )
    given = {
        "--regions": request.regions, "--against": request.against, "--page": request.page,
        "--trust-seeds": request.searches > 1, "--grids": request.grids, "--workers": (request.workers or 1) > 1,
    }  # fmt: skip
    for option, value in given.items():
        if value:
            raise InputError(f"{option} is for photos; leave it out for volumes")
    if request.map_kind not in (None, "nifti", "npy"):
        raise InputError(f"--map {request.map_kind} cannot hold a volume; use nifti, which is always written, or npy")
    files = tuple(filter(is_volume_file, photo_files(request.photos)))
    if not files:
        raise InputError(
            f"{request.photos[0]} is a folder without volumes; give NIfTI files, or TIFF files of several pages"
        )
    return files


def _read(request: ExplainRequest, net: LoadedModel, file: str, device: torch.device) -> tuple[Volume, Tensor]:
    assert isinstance(net.preprocess, VolumePreprocess)
    window = read_window(request.window) if request.window else None
    volume = open_volume(file, window=window)
    return volume, net.preprocess(volume, window=window is not None).to(device)


def _write(target: PhotoTarget, volume: Volume, found: Explanation, request: ExplainRequest) -> dict[str, str]:
    size = volume.values.shape[1:]
    saliency: NDArray[np.float32] = (
        functional.interpolate(found.saliency.float().cpu(), size=size, mode="trilinear").clamp(0, 1)[0, 0].numpy()
    )
    strongest = int(saliency.mean(axis=(1, 2)).argmax())
    verdict = found.trust.verdict(0)
    word = verdict.word if verdict.word == DO_NOT_USE else ""
    tiles = slice_pictures(volume.pictures(), saliency, saliency >= REGION_VALUE, word=word, **request.drawing)
    numbers = montage_slices(len(tiles), strongest)
    lines = [f"{title(found)}; {verdict.word}", f"the map is highest in slice {strongest} of 0 to {len(tiles) - 1}"]
    drawn = montage([tiles[number] for number in numbers], numbers, lines)
    nifti = volume.as_nifti(saliency)
    files = _files(target, request)
    write_whole(files["overlay"], partial(save_png, drawn))
    write_whole(files["map"], lambda file: save_packed(file, nifti.to_bytes()))
    if "array" in files:
        write_whole(files["array"], lambda file: file.write_bytes(_array(saliency)))
    if request.animate:
        content = encoded(tiles[0], request.animate, save_all=True, append_images=tiles[1:], duration=FRAME, loop=0)
        write_whole(files["animation"], lambda file: file.write_bytes(content))
    found.save(files["explanation"])
    return {kind: str(path) for kind, path in files.items()}


def _files(target: PhotoTarget, request: ExplainRequest) -> dict[str, Path]:
    """The files of a volume's map, by kind."""
    endings = {"overlay": OVERLAY, "map": MAP_ENDINGS["nifti"]}
    if request.map_kind == "npy":
        endings["array"] = MAP_ENDINGS["npy"]
    if request.animate:
        endings["animation"] = slices_ending(request.animate)
    return {kind: with_ending(target.path, ending) for kind, ending in {**endings, "explanation": EXPLANATION}.items()}


def _array(values: NDArray[np.float32]) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    return content.getvalue()


def _is_complete(target: PhotoTarget, mdm: MDM, request: ExplainRequest, weights: str) -> bool:
    written = all(file.is_file() for file in _files(target, request).values())
    return written and finished_before(target, mdm, request.model, weights) is not None
