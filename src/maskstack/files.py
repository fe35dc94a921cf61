"""Writing files whole or not at all, JSON from any source and for any reader, and names of files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from maskstack.errors import InputError, OutputError

try:
    import fcntl
except ImportError:  # Windows: there an open file cannot be removed by another process
    fcntl = None  # type: ignore[assignment]

BESIDE = ".maskstack-"
"""How the names of temporary files begin; the machine and the process that writes them follow."""

_OTHER_MACHINE = 24 * 3600.0
"""Seconds after which an unlocked temporary file of another machine is removed."""

_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._+=,-]{0,79}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # devices of Windows
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with Path(path).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the path") from error


def write_whole(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Write a temporary file in the same folder, then rename it to the path.

    Even after Ctrl-C or with a full disk, the path holds either its previous content or the complete new file. What a
    killed process leaves is removed by :func:`tidy`.

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
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    # Named before it is made, so that it is removed also if Ctrl-C comes in between.
    beside = path.parent / f"{BESIDE}{_here()}-{secrets.token_hex(5)}{path.suffix[:20]}"
    handle = -1
    try:
        try:
            handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
        if fcntl is not None:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        else:
            os.close(handle)
            handle = -1
        write(beside)
        # Until it is whole, only the owner can read it; a result gets the usual permissions.
        beside.chmod(0o666 & ~_umask())
        with beside.open("r+b") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; nothing was left there") from error
    finally:
        if handle >= 0:
            os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
    return path


def tidy(folder: Path, *, below: bool = True) -> int:
    """Remove the temporary files of processes that were killed while they wrote.

    Args:
        folder: Where they are looked for.
        below: Whether to look in the folders within it too.

    Returns:
        Number of files removed.
    """
    removed = 0
    for path in folder.rglob(f"{BESIDE}*-*") if below else folder.glob(f"{BESIDE}*-*"):
        with contextlib.suppress(OSError):
            if not path.is_symlink() and path.is_file() and _is_left(path):
                path.unlink()
                removed += 1
    return removed


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON text from any source.

    Raises:
        ValueError: The text is not JSON, is not UTF-8, or is nested too deeply to be read.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def json_text(value: Any) -> str:
    """JSON for people and other programs, with null for each number that is not finite: JSON knows no NaN.

    >>> json_text([1.0, float("nan")]).split()
    ['[', '1.0,', 'null', ']']
    """
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def file_name(name: str) -> str:
    """A name for a file or folder that differs from that of every other name, also where case does not matter.

    A name of lower-case letters, digits, dots, dashes and the like stays. Every other name is shortened to these, and
    a digest of the whole name follows. The result is never empty, hidden, ``..`` or a path.

    >>> file_name("cat.png"), file_name("a_b.png"), file_name("a/b.png"), file_name("..")
    ('cat.png', 'a_b.png', 'a_b.png~88f7ec7982e1', 'x~5ec1f7e700f3')
    """
    if _PLAIN_NAME.fullmatch(name) and not name.endswith(".") and not _RESERVED.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9._+=,-]+", "_", name.lower())[:60].strip("._-") or "x"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{readable}~{digest}"


def csv_cell(text: str) -> str:
    """A text for a cell of a CSV file; a spreadsheet does not compute it as a formula.

    >>> csv_cell("mdm"), csv_cell("=HYPERLINK(1)")
    ('mdm', "'=HYPERLINK(1)")
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _here() -> str:
    """This machine and process, as a part of a file's name."""
    return f"{_machine()}-{os.getpid()}"


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_left(path: Path) -> bool:
    """Whether the process that wrote a temporary file is gone."""
    parts = path.name.removeprefix(BESIDE).split("-")
    if len(parts) < 3 or not parts[1].isdecimal():
        return False
    if not _is_unlocked(path):
        return False
    if parts[0] == _machine() and not _runs(int(parts[1])):
        return True
    return time.time() - path.stat().st_mtime > _OTHER_MACHINE


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_unlocked(path: Path) -> bool:
    if fcntl is None:
        return True
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
