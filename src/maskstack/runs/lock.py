"""One process at a time works on a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from maskstack.errors import InputError, OutputError

try:
    import fcntl
except ImportError:  # not on Windows, where two processes on one run are the user's to avoid
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run for this process; the system lets go of it whatever ends the process.

    Raises:
        InputError: Another process works on the run.
        OutputError: The folder cannot be written to.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = (run / ".lock").open("w")
    except OSError as error:
        raise OutputError(f"cannot write to {run}: {error.strerror or error}; choose another --out") from error
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(f"another process works on {run}; wait for it or choose another --out") from error
        yield
