"""The folder of a run: one process at a time, a record of what the run is about, and its stored rows."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from maskstack.errors import InputError, OutputError, reason
from maskstack.files import json_text, parse_json, tidy, write_whole
from maskstack.runs.rows import ResultRow
from maskstack.runs.store import Store

try:
    import fcntl
except ImportError:  # Windows: there the user must ensure that only one process works on a run
    fcntl = None  # type: ignore[assignment]

RECORD = "run.json"
"""The file of a run's folder that says what the run is about."""

LOCK = ".lock"
"""The file of a folder that is locked while a process uses the folder."""

WEIGHTS, CODE = "weights", "code"
"""Entries of a record that hold digests: of the weights of networks, and of the files of the user's own methods."""

DATA = "data"
"""Entry of a record that names the folder or file of the data, which has several paths."""

_OTHER_ENTRY = {
    "train": "other training images",
    "validation": "other validation images",
    "test": "other test images",
    "classes": "other classes",
    "stages": "other stages",
}
"""How the message on a run of another kind names entries whose values are long."""

_OTHER = {
    WEIGHTS: "the model {name} has other weights; choose another --out, or give the model another name",
    CODE: "the file of {name} was another one; choose another --out, or give the changed function a file of its own",
}

HALVES = ("all", "tuning", "reporting")
"""Which images of a data set a run measures: all, or one of two halves that share no image."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a run still has to do.

    Attributes:
        maps: Number of maps to make and measure.
        done: Number of maps that are measured already.
        forward: Maximum number of images to send forward.
        backward: Maximum number of images to send backward.
        seconds: Expected time of one worker; None if it is unknown.
    """

    maps: int
    done: int
    forward: int
    backward: int
    seconds: float | None = None


class RunListener(Protocol):
    """Receives the progress of a run."""

    def looking(self, network: str, images: int) -> None:
        """Called while the network predicts images, to find the correct ones, with the number so far."""

    def damaged(self, shards: Sequence[Path]) -> None:
        """Called with shards that could not be read and were set aside."""

    def warn(self, sentence: str) -> None:
        """Called with a note that the reader of the results should know."""

    def planned(self, plan: RunPlan) -> None:
        """Called before the first map."""

    def finished(self, maps: int, rows: Sequence[ResultRow]) -> None:
        """Called when more maps are measured and their rows are written, with their number."""


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Reserve the run's folder for this process; the system ends the reservation however the process ends.

    Raises:
        InputError: Another process uses the folder.
        OutputError: The folder cannot be written to.
    """
    place = run / LOCK
    while True:
        try:
            run.mkdir(parents=True, exist_ok=True)
            file = place.open("w")
        except OSError as error:
            raise OutputError(f"cannot write to {run}: {error.strerror or error}; choose another --out") from error
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise InputError(
                f"{run} is in use by another process; wait until it has finished, or choose another --out"
            ) from error
        # A process that ended meanwhile has removed the file, so that a lock on it reserves nothing.
        if _is_still(place, file):
            break
        file.close()
    with file:
        tidy(run)  # what a killed process left; no other process works here now
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                place.unlink()


def _is_still(place: Path, file: IO[str]) -> bool:
    try:
        return fcntl is None or os.path.samestat(place.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def opened(
    run: Path, settle: Callable[[], object], listener: RunListener, *, retry_failed: bool = False
) -> Iterator[Store]:
    """Reserve a run's folder, check what the run is about, and open its rows.

    Args:
        run: The folder; it is made if it does not exist.
        settle: Compares the record of the folder with what is wanted, and writes it.
        listener: Receives the damaged shards.
        retry_failed: Whether rows of failed measurements are removed, so that these are repeated.

    Raises:
        MaskstackError: See :func:`locked`, ``settle`` and :meth:`maskstack.runs.store.Store.open`.
    """
    with locked(run):
        settle()
        store = Store.open(run)
        if store.damaged:
            listener.damaged(store.damaged)
        if retry_failed:
            store.forget_failures()
        yield store


def settle(run: Path, record: Mapping[str, Any], *, begun: bool, code: Mapping[str, str] | None = None) -> None:
    """Write the record of a run, or check that an earlier call wrote the same one.

    Args:
        run: Folder of the run.
        record: What the run is about.
        begun: Whether the run has any result; without one, it may be about something else than at first.
        code: Digests of the files of the user's own methods, by the methods' specs; methods may be added later.

    Raises:
        InputError: The folder holds a run with another record or other code, or its record is damaged.
    """
    # As JSON returns it: tuples become lists.
    wanted: dict[str, Any] = json.loads(json_text(record))
    before = find_record(run)
    if before is not None and (begun or not wanted.keys() <= before.keys()):
        check_same(run, before, wanted, wanted)
    elif before is not None:
        before = None  # the call that wrote it ended before its first result
    known = joined_digests(run, before, CODE, code or {})
    if before is None or known != before.get(CODE, {}):
        write_record(run, {**wanted, CODE: known})


def has_rows(run: Path) -> bool:
    """Whether a run has stored any row."""
    return any((run / "rows").glob("*.parquet"))


def find_record(run: Path) -> dict[str, Any] | None:
    """The record of a run; None if the folder has none.

    Raises:
        InputError: The record is damaged.
    """
    file = run / RECORD
    if not file.is_file():
        return None
    try:
        record = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is damaged ({reason(error)}); choose another --out") from error
    if not isinstance(record, dict):
        raise InputError(f"{file} is damaged (it holds no JSON object); choose another --out")
    return record


def write_record(run: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run.

    Raises:
        OutputError: The file cannot be written.
    """
    text = json_text(record) + "\n"
    write_whole(run / RECORD, lambda file: file.write_text(text, encoding="utf-8"))


def check_same(run: Path, before: Mapping[str, Any], wanted: Mapping[str, Any], names: Iterable[str]) -> None:
    """Check that two records agree in these entries.

    Raises:
        InputError: They differ; the message names the first such entry, of tables the first entry within, and both
            values if they are short.
    """
    for name in names:
        one, other = before.get(name), wanted.get(name)
        if one == other or (name == DATA and is_same_place(one, other)):
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            check_same(run, one, other, dict.fromkeys([*other, *one]))
        short = all(value is None or isinstance(value, str | int | float) for value in (one, other))
        how = f"{name}={one!r}, not {other!r}" if short else _OTHER_ENTRY.get(name, f"another {name}")
        raise InputError(f"{run} holds a run with {how}; choose another --out")


def is_same_place(one: object, other: object) -> bool:
    """Whether two texts name one file or folder, such as a relative and an absolute path of it."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # a path with a null, or a circle of links
        return Path(one).resolve() == Path(other).resolve()
    return False


def joined_digests(
    run: Path, before: Mapping[str, Any] | None, entry: str, digests: Mapping[str, str]
) -> dict[str, str]:
    """The digests of a record together with new ones.

    Args:
        run: Folder of the run.
        before: Its record; None if it has none yet. A record of an earlier version lacks the entry.
        entry: ``WEIGHTS`` or ``CODE``.
        digests: The digests of now, by name.

    Raises:
        InputError: A name has another digest in the record.
    """
    held = digests_of(before or {}, entry)
    for name, digest in digests.items():
        if held.get(name, digest) != digest:
            raise InputError(f"{run} holds a run in which {_OTHER[entry].format(name=name)}")
    return {**held, **digests}


def digests_of(record: Mapping[str, Any], entry: str) -> Mapping[str, str]:
    """The digests in a record, by name; empty if an earlier version wrote it."""
    held = record.get(entry, {})
    return held if isinstance(held, dict) else {}
