"""The sessions of the page's users: what is stored for each user, and for how long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor, nn

from maskstack.draw.pictures import thumbnail
from maskstack.errors import InputError
from maskstack.explanation import Explanation
from maskstack.files import file_digest
from maskstack.geometry import Geometry
from maskstack.jobs.targets import PHOTO_DIGEST
from maskstack.models import LoadedModel, said_of

Curves = Mapping[str, tuple[list[float], list[float]]]
"""Insertion and deletion curve of each method, by its name."""


MOST_KEPT = 12
"""Largest number of explanations that a visit keeps."""

SIDE = 640
"""Largest number of pixels of the longer side of a photo that the page draws on."""


@dataclass(frozen=True, eq=False)
class PredictedPhoto:
    """A photo with what a network predicts for it.

    Attributes:
        name: File name of the photo.
        path: Its file on this machine.
        model: Name of the network on the page.
        net: The network.
        tensor: C x H x W, preprocessed for the network.
        scores: Probability of each class.
        photo: The upright photo, at most :data:`SIDE` pixels; None if only what the network sees is known.
        geometry: Where the network's input lies in it; None if the preprocessing turns or bends the photo.
        place: Where the network's input lies in the photo's own pixels; None as for ``geometry``.
        notes: Metadata of its explanations, as ``maskstack explain`` writes it.
        opened: Whether its explanation comes from a file.
        missing: Why the photo itself is not here, in a sentence; empty if it is here.
    """

    name: str
    path: Path
    model: str
    net: LoadedModel
    tensor: Tensor
    scores: Tensor
    photo: Image.Image | None = None
    geometry: Geometry | None = None
    place: Geometry | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    opened: bool = False
    missing: str = ""

    @classmethod
    def of(
        cls, name: str, path: Path, model: str, net: LoadedModel, tensor: Tensor, scores: Tensor, photo: Image.Image
    ) -> PredictedPhoto:
        """Make one from the upright photo, which is kept at a size that the page shows."""
        small, place = thumbnail(photo, SIDE), net.geometry(photo)
        geometry = None if place is None else place.scaled((small.height, small.width))
        notes = {"model": net.spec, "photo": name, PHOTO_DIGEST: file_digest(path)}
        notes |= {} if net.output is None else {"output": str(net.output)}
        notes |= {"levels": said_of(photo)} if said_of(photo) else {}
        return cls(name, path, model, net, tensor, scores, small, geometry, place, notes)

    def without_network(self) -> PredictedPhoto:
        """The same, without the network's weights, so that keeping it does not keep them in memory."""
        return replace(self, net=replace(self.net, model=nn.Identity()))

    def check_is_here(self) -> None:
        """Check that the photo itself is on the page.

        Raises:
            InputError: It is not.
        """
        if self.missing:
            raise InputError(self.missing)
        if not self.path.is_file():
            raise InputError("the photo's own file is not on the page any more; choose the photo again")

    @property
    def picture(self) -> Image.Image:
        """The photo; or what the network sees, if the photo cannot be drawn on."""
        if self.photo is None or (self.geometry is None and not self.missing):
            return self.net.picture(self.tensor.cpu())
        return self.photo


@dataclass(frozen=True, eq=False)
class Kept:
    """An explanation of this visit, to be shown again.

    Attributes:
        title: Its name in the list.
        predicted: The photo.
        found: The explanation.
        preset: The preset of its search.
        settings: The changes to the preset.
        stopped: Whether its search was stopped.
        thumbnail: Address of a small picture of it.
    """

    title: str
    predicted: PredictedPhoto
    found: Explanation
    preset: str
    settings: Mapping[str, Any]
    stopped: bool
    thumbnail: str


@dataclass(eq=False)
class Session:
    """One user's work.

    Attributes:
        stop: Set it to stop the search that is running.
        searching: Whether a search runs.
        leaves: Whether the search that waits in the queue is not wanted any more.
        ended: Set when the user has left or the server ends.
        seen: Time of the user's last action, in seconds of the clock.
        uploads: The photo's file of each tab; removed with the session.
        shown: The photo and the network that the user's page shows now, which may be newer than ``predicted``.
        predicted: The photo and what the network predicts for it.
        refused: Whether the last photo was removed from the page; the status line gives the reason.
        found: The last explanation.
        preset: The preset of its search.
        settings: The changes to the preset.
        stopped: Whether its search was stopped.
        curves: Insertion and deletion curve of each method shown.
        explained: What ``found`` explains; ``predicted``, unless an earlier explanation is shown again.
        others: Explanations of other methods that are compared with it, by their names.
        history: The explanations of this visit, the oldest first.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    searching: bool = False
    leaves: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    seen: float = field(default_factory=time.monotonic)
    uploads: dict[str, Path] = field(default_factory=dict)
    shown: tuple[Path | None, str] | None = None
    predicted: PredictedPhoto | None = None
    refused: bool = False
    found: Explanation | None = None
    preset: str = "default"
    settings: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False
    curves: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    explained: PredictedPhoto | None = None
    others: dict[str, Explanation] = field(default_factory=dict)
    history: deque[Kept] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))

    def forget_results(self) -> None:
        """Forget the explanation and the curves, because the photo, the network or the class has changed."""
        self.found = self.explained = None
        self.curves, self.others = {}, {}

    def show(self, kept: Kept) -> None:
        """Make an explanation the one that is shown."""
        self.forget_results()
        self.found, self.explained = kept.found, kept.predicted
        self.preset, self.settings, self.stopped = kept.preset, dict(kept.settings), kept.stopped


class Sessions:
    """The sessions by their keys.

    Args:
        forget_after: Seconds without an action after which a session ends, if the browser did not report that the page
            was closed.
        clock: Returns the time in seconds.
    """

    def __init__(self, *, forget_after: float = 3600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.forget_after, self.clock = forget_after, clock
        self._sessions: dict[str, Session] = {}
        self._ended: deque[str] = deque(maxlen=10_000)
        self._lock = threading.Lock()

    def of(self, key: str) -> Session:
        """The session with this key; a new one if there is none."""
        with self._lock:
            return self._of(key)

    def keep_upload(self, key: str, path: Path, *, tab: str = "explain") -> None:
        """Remember the file of the user's photo on a tab, and remove the previous one."""
        with self._lock:
            session = self._of(key)
            before = session.uploads.get(tab)
            session.uploads[tab] = path
            self._remove(before)

    def _of(self, key: str) -> Session:
        now = self.clock()
        for old in [other for other, session in self._sessions.items() if now - session.seen > self.forget_after]:
            if old != key:
                self._end(old)
        session = self._sessions.setdefault(key, Session())
        session.seen = now
        return session

    def end(self, key: str) -> None:
        """Stop the user's work and remove everything stored for it."""
        with self._lock:
            self._ended.append(key)
            self._end(key)

    def has_left(self, key: str) -> bool:
        """Whether the user has closed the page; an event of theirs may still be waiting."""
        return key in self._ended

    def files(self) -> set[Path]:
        """The uploads that sessions use."""
        with self._lock:
            return {path for session in self._sessions.values() for path in session.uploads.values()}

    def end_all(self) -> None:
        """End all sessions."""
        with self._lock:
            for key in list(self._sessions):
                self._end(key)

    def __len__(self) -> int:
        return len(self._sessions)

    def _end(self, key: str) -> None:
        session = self._sessions.pop(key, None)
        if session is not None:
            session.stop.set()
            session.ended.set()
            for path in session.uploads.values():
                self._remove(path)

    def _remove(self, path: Path | None) -> None:
        # Users who upload the same picture share its file, because the file is named by its content.
        if path is not None and all(path not in session.uploads.values() for session in self._sessions.values()):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
