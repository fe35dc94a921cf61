"""A process that has imported the package, and forks for each command: a trial need not wait for imports.

A command can be disturbed after a time, or at the n-th change to the files of a folder: it is killed, interrupted as by
Ctrl-C, or its disk is full.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

KILLED, INTERRUPTED, FULL = "killed", "interrupted", "full"
"""The kinds of disturbance."""

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.link", "os.chmod", "os.rmdir", "os.truncate")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; negative for a signal.
        error: What it wrote to standard error.
        changes: Number of changes that it made to the files of the folder; -1 if it was killed.
        seconds: How long it ran.
    """

    code: int
    error: str
    changes: int
    seconds: float


class Warm:
    """Runs commands in forks of a process that has imported everything.

    Args:
        process: The process, which runs this file.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        kind: str = KILLED,
        after: float | None = None,
        change: int | None = None,
    ) -> Ended:
        """Run a command.

        Args:
            arguments: Those of the command line.
            folder: Whose changes count.
            kind: What happens to it.
            after: Seconds after which it happens; None for no such time.
            change: Number of the change at which it happens; None for none.
        """
        asked = {"arguments": list(arguments), "folder": str(folder), "kind": kind, "after": after, "change": change}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))


@contextlib.contextmanager
def warmed(place: Path, modules: Sequence[str]) -> Iterator[Warm]:
    """Start a process that has imported the modules.

    Args:
        place: A folder for its files.
        modules: What is imported once.
    """
    command = [sys.executable, str(Path(__file__)), str(place), *modules]
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    with process:
        yield Warm(process)
        assert process.stdin is not None
        process.stdin.close()


def _serve(place: Path) -> None:
    """Fork for each line of standard input, and answer how the command ended."""
    for line in sys.stdin:
        asked = json.loads(line)
        errors, counter = place / "stderr.txt", place / "changes.txt"
        counter.unlink(missing_ok=True)
        begin = time.monotonic()
        child = os.fork()
        if child == 0:
            _run(asked, errors, counter)
        status = _wait(child, asked, begin)
        changes, *modules = counter.read_text().split() if counter.exists() else ["-1"]
        _import(modules)
        code = os.waitstatus_to_exitcode(status)
        found = {"code": code, "error": errors.read_text(errors="replace"), "changes": int(changes)}
        print(json.dumps({**found, "seconds": time.monotonic() - begin}), flush=True)


def _wait(child: int, asked: dict[str, Any], begin: float) -> int:
    """Wait for the child, and disturb it when its time has come."""
    end = None if asked["after"] is None else begin + asked["after"]
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if end is not None and time.monotonic() >= end:
            os.kill(child, signal.SIGINT if asked["kind"] == INTERRUPTED else signal.SIGKILL)
            end = None
        time.sleep(0.002)


def _run(asked: dict[str, Any], errors: Path, counter: Path) -> None:
    """Be the child: run the command and end."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    seen = _watch(Path(asked["folder"]), asked["kind"], asked["change"])
    code: Any = 1
    try:
        from maskstack.cli.main import main

        code = main(asked["arguments"])
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        seen.append(-1)  # what follows is no longer the command
        sys.stderr.flush()
        counter.write_text("\n".join([str(len(seen) - 1), *list(sys.modules)]))
        os._exit(code if isinstance(code, int) else 0)


def _watch(folder: Path, kind: str, wanted: int | None) -> list[int]:
    """Count the changes to a folder's files, and disturb the process right before the wanted one."""
    seen: list[int] = []
    inside = str(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if (seen and seen[-1] == -1) or not str(path).startswith(inside):
            return
        seen.append(len(seen) + 1)
        if len(seen) != wanted:
            return
        if kind == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == INTERRUPTED:
            os.kill(os.getpid(), signal.SIGINT)
        elif event in ("open", "os.rename", "os.mkdir", "os.link"):
            raise OSError(28, "No space left on device", str(path))

    sys.addaudithook(hook)
    return seen


def _import(modules: Sequence[str]) -> None:
    """Import what a command has imported, so that the next fork has it; modules that need more than a name are left."""
    for name in modules:
        if name not in sys.modules and name != "__mp_main__":
            with contextlib.suppress(Exception):
                importlib.import_module(name)


if __name__ == "__main__":
    _import(sys.argv[2:])
    _serve(Path(sys.argv[1]))
