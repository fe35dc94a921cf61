"""What the page remembers of each visitor, apart from all others, and for how long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from torch import Tensor

from maskstack.explanation import Explanation
from maskstack.models import LoadedModel

Curves = Mapping[str, tuple[list[float], list[float]]]
"""Of each method, its insertion and its deletion curve."""


@dataclass(frozen=True, eq=False)
class Look:
    """A photo as a network sees it.

    Attributes:
        name: File name of the photo.
        path: Its file on this machine.
        model: Name of the network on the page.
        net: The network.
        tensor: C x H x W, as the network takes it.
        scores: Of each class.
    """

    name: str
    path: Path
    model: str
    net: LoadedModel
    tensor: Tensor
    scores: Tensor

    @property
    def picture(self) -> Image.Image:
        """What the network saw."""
        return self.net.picture(self.tensor.cpu())


@dataclass(eq=False)
class Visit:
    """One visitor's work.

    Attributes:
        stop: Set to end the search that is going on.
        seen: Seconds of the clock when the visitor last did something.
        uploads: Files of the photos on each tab, which are removed with the visit.
        shown: The photo and the network on the visitor's page now, which may be ahead of what was looked at.
        look: The photo and what the network says of it.
        refused: Whether the last photo was taken off the page, with a sentence why.
        found: The last explanation.
        preset: It was made with.
        stopped: Whether its search was stopped.
        curves: Insertion and deletion curve of each method looked at.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    seen: float = field(default_factory=time.monotonic)
    uploads: dict[str, Path] = field(default_factory=dict)
    shown: tuple[Path | None, str] | None = None
    look: Look | None = None
    refused: bool = False
    found: Explanation | None = None
    preset: str = "default"
    stopped: bool = False
    curves: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)

    def forget_results(self) -> None:
        """A new photo, network or class: what was found before says nothing of it."""
        self.found = None
        self.curves = {}


class Visits:
    """The visitors by the key of their session.

    Args:
        forget_after: Seconds after which a visitor who does nothing is forgotten, where the browser did not say
            goodbye.
        clock: Tells seconds.
    """

    def __init__(self, *, forget_after: float = 3600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.forget_after, self.clock = forget_after, clock
        self._visits: dict[str, Visit] = {}
        self._gone: deque[str] = deque(maxlen=10_000)
        self._lock = threading.Lock()

    def of(self, key: str) -> Visit:
        """The visit with this key, a new one if there is none."""
        with self._lock:
            return self._of(key)

    def keep_upload(self, key: str, path: Path, *, tab: str = "explain") -> None:
        """Remember the file of the visitor's photo on a tab, and remove the one before it."""
        with self._lock:
            visit = self._of(key)
            before = visit.uploads.get(tab)
            visit.uploads[tab] = path
            self._remove(before)

    def _of(self, key: str) -> Visit:
        now = self.clock()
        for old in [other for other, visit in self._visits.items() if now - visit.seen > self.forget_after]:
            if old != key:
                self._end(old)
        visit = self._visits.setdefault(key, Visit())
        visit.seen = now
        return visit

    def end(self, key: str) -> None:
        """Stop the visitor's work and remove what is kept of it."""
        with self._lock:
            self._gone.append(key)
            self._end(key)

    def has_left(self, key: str) -> bool:
        """Whether the visitor has gone, while a piece of work of theirs was still waiting."""
        return key in self._gone

    def end_all(self) -> None:
        """Stop the work of everybody."""
        with self._lock:
            for key in list(self._visits):
                self._end(key)

    def __len__(self) -> int:
        return len(self._visits)

    def _end(self, key: str) -> None:
        visit = self._visits.pop(key, None)
        if visit is not None:
            visit.stop.set()
            for path in visit.uploads.values():
                self._remove(path)

    def _remove(self, path: Path | None) -> None:
        # Two who upload the same picture share its file, which is named by its content.
        if path is not None and all(path not in visit.uploads.values() for visit in self._visits.values()):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
