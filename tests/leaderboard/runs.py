"""Runs in this process and in one of their own, and how two of them are compared."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from maskstack.cli.main import main
from maskstack.runs.store import Store

METHODS = "mdm:steps=3,gradcam,random,centre"
FEW = "random,centre"
"""Methods for a run in which only the order of events is of interest: they cost nothing, and import nothing."""

SMALL = "small=bundled,size=128"
"""The bundled network with a third of its usual pixels, since no test of runs is about the map."""

GROUPS = "faithfulness,localization,complexity"

KILL_SEED = 13
"""Seed of the random moments at which a run is killed, so that a failure can be repeated."""


def command(data: Path, out: Path, *more: str, methods: str = METHODS) -> list[str]:
    """The command line of a run in a process of its own."""
    program = "from maskstack.cli.main import run; run()"
    return [sys.executable, "-c", program, *_arguments(data, out, *more, methods=methods)]


def _arguments(data: Path, out: Path, *more: str, methods: str = METHODS) -> list[str]:
    what = ["--data", str(data), "--model", SMALL, "--methods", methods, "--curve-steps", "2", "--out", str(out)]
    return ["bench", *what, "--metrics", GROUPS, *more]


def environment() -> dict[str, str]:
    """One thread, as two processes with two threads each on two processors wait for each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


class Done(NamedTuple):
    """How a run ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


def run_bench(data: Path, out: Path, *more: str, **options: str) -> Done:
    """Run to the end, in this process: one of its own takes seconds to import."""
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = main(_arguments(data, out, *more, **options))
    return Done(code, said.getvalue(), complained.getvalue())


def table(run: Path) -> dict[tuple[str, ...], tuple[object, ...]]:
    """A run's rows by what they are; fails where one is there twice. Seconds are nobody's promise."""
    found: dict[tuple[str, ...], tuple[object, ...]] = {}
    for row in Store.open(run).rows():
        name = (row.model, row.method, row.image, row.group, row.metric)
        assert name not in found, f"{name} is there twice"
        found[name] = (row.value, row.curve, row.protocol, row.target, row.forward, row.backward, row.failure)
    return found


def of_methods(rows: dict[tuple[str, ...], tuple[object, ...]], methods: str) -> dict:
    """The rows of a table that belong to these methods."""
    return {name: row for name, row in rows.items() if name[1] in methods.split(",")}


def assert_same(found: dict, wanted: dict) -> None:
    """Two runs have one and the same table: every row, and its numbers to rounding."""
    assert found.keys() == wanted.keys()
    for name, (value, curve, *rest) in wanted.items():
        assert list(found[name][2:]) == rest, name
        assert found[name][0] == pytest.approx(value, abs=2e-4), name
        assert found[name][1] == (curve if curve is None else pytest.approx(curve, abs=2e-4)), name
