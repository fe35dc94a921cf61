"""What the runs of a report are about, and whether their numbers may stand in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskstack.errors import InputError
from maskstack.leaderboard.request import read

_MUST_AGREE = ("data", "which", "target", "split", "curve_steps")
"""What makes numbers of one network incomparable where it differs; seed and half only choose among the images."""


@dataclass(frozen=True)
class Run:
    """A run's folder and what ``run.json`` says of it."""

    folder: Path
    about: Mapping[str, Any]

    @property
    def specs(self) -> Mapping[str, str]:
        """The networks' specs by name."""
        specs: Mapping[str, str] = self.about["specs"]
        return specs


def open_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Read what runs are about.

    Raises:
        InputError: A folder holds no run, is named twice, or two runs measured one network in different ways.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"a run is named twice in {', '.join(map(str, folders))}; name each once")
    runs = tuple(Run(folder, read(folder)) for folder in folders)
    for index, run in enumerate(runs):
        for other in runs[:index]:
            _check(other, run)
    return runs


def _check(one: Run, other: Run) -> None:
    shared = [model for model in one.specs if model in other.specs]
    for model in shared:
        if one.specs[model] != other.specs[model]:
            raise InputError(
                f"{model} is {one.specs[model]} in {one.folder} and {other.specs[model]} in {other.folder}; "
                "report them separately"
            )
    for name in _MUST_AGREE if shared else ():
        if one.about[name] != other.about[name]:
            raise InputError(
                f"{shared[0]} was measured with {name}={one.about[name]!r} in {one.folder} and "
                f"{other.about[name]!r} in {other.folder}; report them separately"
            )
