"""Room for uploads: a limit on the files that no user's session uses."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from maskstack.runs.folder import LOCK


@dataclass
class UploadRoom:
    """Keeps the unused uploads below a number of files and bytes.

    An upload is used from the moment when a session shows it. One that is never shown was not sent by the page.

    Attributes:
        root: Folder of the uploads.
        used: Returns the files that sessions use.
        most_bytes: Largest number of bytes of unused files, those that are arriving included.
        most_files: Largest number of unused files.
        grace: Seconds that a new file is kept in any case, because the page may be about to use it.
        forget_after: Seconds after which an unused file is removed.
        apart: Names in ``root`` that are not uploads: the samples, and the lock that a running server holds.
        clock: Returns the time in seconds, as the times of files are.
    """

    root: Path
    used: Callable[[], Collection[Path]]
    most_bytes: int
    most_files: int = 20
    grace: float = 10.0
    forget_after: float = 120.0
    apart: tuple[str, ...] = ("samples", LOCK)
    clock: Callable[[], float] = time.time
    _arriving: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, size: int) -> bool:
        """Make room for an upload of this many bytes; False if there is none at this time."""
        with self._lock:
            unused = self._unused()
            total = sum(each for _, each, _ in unused) + sum(self._arriving) + size
            count = len(unused) + len(self._arriving) + 1
            for path, each, modified in unused:
                if total <= self.most_bytes and count <= self.most_files:
                    break
                if self.clock() - modified < self.grace:
                    return False
                _remove(path)
                total, count = total - each, count - 1
            if count > self.most_files or total > max(self.most_bytes, size):
                return False
            self._arriving.append(size)
            return True

    def release(self, size: int) -> None:
        """The upload of this many bytes has ended."""
        with self._lock, contextlib.suppress(ValueError):
            self._arriving.remove(size)

    def sweep(self) -> None:
        """Remove the unused files that have been there for long."""
        with self._lock:
            for path, _, modified in self._unused():
                if self.clock() - modified > self.forget_after:
                    _remove(path)

    def _unused(self) -> list[tuple[Path, int, float]]:
        """File, size and time of each unused upload, the oldest first."""
        used = {path.resolve() for path in self.used()}
        found = []
        for path in self.root.rglob("*"):
            with contextlib.suppress(OSError):
                if path.relative_to(self.root).parts[0] in self.apart or not path.is_file() or path.is_symlink():
                    continue
                if path.resolve() not in used:
                    state = path.stat()
                    found.append((path, state.st_size, state.st_mtime))
        return sorted(found, key=lambda each: each[2])


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()
