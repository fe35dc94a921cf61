"""A class of a photo that is to be explained, where its results go, and whether they are there already."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explainers.base import CostedExplainer
from maskstack.explainers.photos import HasUserModel
from maskstack.explainers.table import code_digests
from maskstack.explanation import Explanation
from maskstack.explanation.naming import EXPLANATION, with_ending
from maskstack.explanation.storage import is_complete
from maskstack.files import file_digest
from maskstack.jobs.progress import JobReporter

PHOTO_DIGEST = "photo_sha256"
"""Name of the note that holds the digest of the photo's file."""

NOTES = ("model", "weights_sha256", "photo", PHOTO_DIGEST, "output", "levels", "method", "code_sha256")
"""Notes by which a finished explanation is recognised; methods add others."""

OF_CONTRAST = ("against", "against_name", "first_name")
"""Notes of a contrast: what was asked for, and the names of class B and of the first class with the region hidden."""

JUDGED_BY = "judged_by"
"""Note with the objective by which the gallery measured the trust of a map; without it, the one that was explained."""


class PhotoExplainer(CostedExplainer, HasUserModel, Protocol):
    """An explainer of a network, as all of maskstack's are."""


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
        photo = {"photo": Path(self.photo).name, PHOTO_DIGEST: file_digest(self.photo)}
        chosen = {} if output is None else {"output": str(output)}
        levels = {"levels": self.said} if self.said else {}
        method = {} if self.method == "mdm" else {"method": self.method}
        code = code_digests([self.method])
        own = {"code_sha256": code[self.method]} if code else {}
        return {**network, **photo, **chosen, **levels, **method, **own}


def warn_of_replacing(targets: Iterable[PhotoTarget], warn: Callable[[str], None]) -> None:
    """Say which results of other photos of the same name will be replaced."""
    for target in targets:
        path = with_ending(target.path, EXPLANATION)
        with contextlib.suppress(InputError):
            notes = Explanation.load(path).notes if path.is_file() else {}
            if notes.get(PHOTO_DIGEST, "") not in ("", file_digest(target.photo)):
                warn(f"{path} has the map of another photo named {notes.get('photo')}; it will be replaced")


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
