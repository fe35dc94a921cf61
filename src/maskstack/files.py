"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from maskstack.errors import OutputError


def write_whole(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Write a temporary file in the same folder, then rename it to the path.

    Even after Ctrl-C or with a full disk, the path holds either its previous content or the complete new file.

    Args:
        path: Path of the file; missing folders are made.
        write: Writes the content to the path it is given, which has the same suffix.

    Raises:
        OutputError: The folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    beside = Path(name)
    try:
        write(beside)
        # mkstemp makes files that only the owner can read; a result gets the usual permissions.
        beside.chmod(0o666 & ~_umask())
        with beside.open("r+b") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; nothing was left there") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
