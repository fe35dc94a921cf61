"""What every job on photos is asked for, a class of a photo that is to be explained, and whether it is finished."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from PIL import Image
from torch import Tensor

from maskstack.checks import check_name
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explainers.base import CostedExplainer
from maskstack.explainers.photos import HasUserModel
from maskstack.explanation import Explanation
from maskstack.explanation.storage import is_complete
from maskstack.files import file_digest
from maskstack.jobs.listing import photo_files
from maskstack.jobs.naming import EXPLANATION, with_ending
from maskstack.jobs.progress import JobReporter
from maskstack.masks.presets import Preset
from maskstack.models import LoadedModel, open_photo
from maskstack.models.levels import read_page
from maskstack.models.photos import check_file
from maskstack.objectives import Meaning

NOTES = ("model", "weights_sha256", "photo", "photo_sha256", "output", "levels", "method")
"""Notes by which a finished explanation is recognised; methods add others."""


class PhotoExplainer(CostedExplainer, HasUserModel, Protocol):
    """An explainer of a network, as all of maskstack's are."""


@dataclass(frozen=True, kw_only=True)
class PhotosRequest:
    """What every job on photos is asked for.

    Attributes:
        photos: Image files, and folders of them.
        target: Class name or index, or ``top1`` for the predicted class.
        out: Folder for the results.
        preset: Name of the settings to start from.
        settings: Changes to the preset.
        resume: Whether to skip photos with finished results that fit the request.
        device: Name of a device, or ``auto``.
        output: Which output is explained, and what it is, see :class:`maskstack.MDM`; empty to find out.
        page: Page, frame or slice of each file, from 0; empty for the first, or the middle slice of a volume.
        window: Centre and width of the grey values that are shown, such as ``40/400``; empty for the file's own.
    """

    photos: tuple[str, ...]
    target: str = "top1"
    out: Path
    preset: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    device: str = "auto"
    output: str = ""
    page: str = ""
    window: str = ""

    @property
    def opening(self) -> dict[str, str]:
        """Notes that say how a file is opened, so that it can be opened again in the same way; empty by default."""
        return {name: text for name, text in (("page", self.page), ("window", self.window)) if text}

    def open_photo(self, file: str) -> Image.Image:
        """One photo, upright.

        Raises:
            MaskstackError: The file cannot be read, or has no such page.
        """
        return open_photo(file, page=read_page(self.page), window=self.window or None)

    def open_photos(self, warn: Callable[[str], None]) -> Iterator[tuple[str, Image.Image]]:
        """Each photo with its file, one after the other, so that only one has to be held.

        Args:
            warn: Called with a sentence about each damaged file of a folder, which is left out.

        Raises:
            MaskstackError: A file that was named cannot be read, or has no such page; or no file of a folder can.
        """
        read_page(self.page)
        files = photo_files(self.photos)
        named = set(self.photos)
        for file in files:
            check_name(file)
            if file in named:
                check_file(Path(file))
        opened = 0
        for file in files:
            try:
                photo = self.open_photo(file)
            except InputError as error:
                if file in named or (file == files[-1] and not opened):
                    raise
                warn(f"left out: {error}")
                continue
            opened += 1
            yield file, photo

    def read(self, target: PhotoTarget, net: LoadedModel, device: torch.device) -> tuple[Image.Image, Tensor]:
        """A target's photo, opened again, and the network's input, C x H x W.

        Raises:
            MaskstackError: The file can no longer be read.
        """
        photo = self.open_photo(target.photo)
        return photo, net.preprocess(photo).to(device)

    def explainer(self, net: LoadedModel, objective: str = "probability") -> MDM:
        """MDM for a network, with the settings asked for.

        Raises:
            MaskstackError: A setting cannot be used.
        """
        settings = cast(Any, self.settings)
        return MDM(
            net,
            preset=cast(Preset, self.preset),
            objective=cast(Meaning, objective),
            output=read_output(self.output),
            **settings,
        )


@dataclass(frozen=True, eq=False)
class PhotoTarget:
    """One class of one photo, to be explained. The photo is opened again then: many photos would not fit in memory.

    Attributes:
        photo: Its file, as the user wrote it.
        size: Height and width of the network's input.
        index: Index of the class.
        path: Path of the results, without the files' endings.
        said: What was decided when the file was opened, see :func:`maskstack.models.said_of`.
        method: The method, as :func:`maskstack.explainers.table.make_explainer` reads it.
    """

    photo: str
    size: tuple[int, ...]
    index: int
    path: Path
    said: str = ""
    method: str = "mdm"

    def notes(self, spec: str, weights: str, output: int | str | None = None) -> dict[str, str]:
        """Metadata that is stored with the explanation: the network, the photo, and what was chosen or decided.

        Args:
            spec: Spec of the network.
            weights: Digest of its weights, see :func:`maskstack.models.weights.weights_digest`.
            output: Which output is explained, if that was chosen.

        Raises:
            InputError: The photo can no longer be read.
        """
        network = {"model": spec, "weights_sha256": weights}
        photo = {"photo": Path(self.photo).name, "photo_sha256": file_digest(self.photo)}
        chosen = {} if output is None else {"output": str(output)}
        levels = {"levels": self.said} if self.said else {}
        method = {} if self.method == "mdm" else {"method": self.method}
        return {**network, **photo, **chosen, **levels, **method}


def warn_of_replacing(targets: Iterable[PhotoTarget], warn: Callable[[str], None]) -> None:
    """Say which results of other photos of the same name will be replaced."""
    for target in targets:
        path = with_ending(target.path, EXPLANATION)
        with contextlib.suppress(InputError):
            notes = Explanation.load(path).notes if path.is_file() else {}
            if notes.get("photo_sha256", "") not in ("", file_digest(target.photo)):
                warn(f"{path} has the map of another photo named {notes.get('photo')}; it will be replaced")


def read_output(text: str) -> int | str | None:
    """The place or the name of an output; None where the text is empty.

    >>> read_output("1"), read_output("aux:probabilities"), read_output("")
    (1, 'aux:probabilities', None)
    """
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text or None


def report_finished(
    targets: Sequence[PhotoTarget],
    todo: Sequence[PhotoTarget],
    files: Callable[[PhotoTarget], Mapping[str, Path]],
    reporter: JobReporter,
    name: Callable[[PhotoTarget], str] = lambda target: target.photo,
) -> None:
    """Report the maps that were finished before, at the end, so that a program gets all that it asked for.

    Args:
        targets: All that was asked for.
        todo: What was made now.
        files: The files of a target.
        reporter: Receives them.
        name: What the target is called.
    """
    made = set(todo)
    for position, target in enumerate(targets):
        if target not in made:
            found = {kind: str(path) for kind, path in files(target).items()}
            reporter.finished(position, name(target), found)


OF_CONTRAST = ("against", "against_name", "first_name")
"""Notes of a contrast: what was asked for, and the names of class B and of the first class with the region hidden."""

JUDGED_BY = "judged_by"
"""Note with the objective by which the gallery measured the trust of a map; without it, the one that was explained."""


def finished_before(
    target: PhotoTarget, explainer: PhotoExplainer, spec: str, weights: str, *, against: str = ""
) -> Explanation | None:
    """The saved explanation if it fits this network, photo, class, objective and settings; otherwise None.

    The network's weights and the photo's file are recognised by their digests. If the earlier run ended between the
    explanation's two files, the second one is written.

    Args:
        target: The photo, its class and the place of its results.
        explainer: What would explain it.
        spec: Spec of the network.
        weights: Digest of its weights.
        against: The class that a contrast was asked for with, as the user wrote it; empty for none.
    """
    path = with_ending(target.path, EXPLANATION)
    try:
        found = Explanation.load(path)
    except InputError:
        return None
    user_model = explainer.user_model
    notes = target.notes(spec, weights, user_model.output)
    fits = (
        {name: text for name, text in found.notes.items() if name in NOTES} == notes
        and found.notes.get("against", "") == against
        and (found.target or (0,)) == (target.index,)
        and (found.contrast is not None or user_model.objective(target.index).stands_for(found.objective))
        and (not isinstance(explainer, MDM) or found.settings == explainer.settings_for(target.size).as_dict())
    )
    if fits and not is_complete(path):
        found.save(path)  # the earlier run ended between its two files
    return found if fits else None
