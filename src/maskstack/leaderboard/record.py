"""What the runs of the leaderboard measure, and whether their numbers can be compared in one table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskstack.errors import InputError
from maskstack.leaderboard.request import BenchRequest
from maskstack.runs.folder import (
    CODE,
    DATA,
    RECORD,
    WEIGHTS,
    check_same,
    digests_of,
    find_record,
    has_rows,
    is_same_place,
    joined_digests,
    write_record,
)

FORMAT = "maskstack-run-1"

_SAME_IN_A_TABLE = ("data", "which", "target", "split", "curve_steps")
"""Entries that make the numbers of a network incomparable if they differ."""

_SAME_IN_A_RUN = (*_SAME_IN_A_TABLE, "seed", "half")
"""Seed and half only select images, but a run uses one selection."""


_LISTS = ("models", "methods", "groups")
_WHOLE = ("images", "seed", "curve_steps", "batch_size")
_MISSING = object()


@dataclass(frozen=True)
class RunRecord:
    """A run's folder and the content of its record."""

    folder: Path
    about: Mapping[str, Any]

    @property
    def specs(self) -> Mapping[str, str]:
        """The networks' specs by name."""
        specs: Mapping[str, str] = self.about["specs"]
        return specs


def settle(
    run: Path,
    request: BenchRequest,
    *,
    versions: Mapping[str, str],
    weights: Mapping[str, str] | None = None,
    code: Mapping[str, str] | None = None,
) -> None:
    """Write the record of a run, or check that the request continues the run that is there.

    Models, methods, metrics and the number of images may grow from one call to the next. Settings that would make the
    numbers incomparable must not change, and neither must the weights of a network or the file of a method. A run
    without any result may change in all of these.

    Args:
        run: Folder of the run.
        request: What to measure.
        versions: Versions of the packages.
        weights: Digest of each network's weights, by its name; a run of an earlier version has none.
        code: Digest of the file of each method of the user's own, by its spec.

    Raises:
        InputError: The folder holds a run with another record, or other files and no run.
    """
    before, wanted = find_record(run), dataclasses.asdict(request)
    specs = request.specs
    if before is None and run.is_dir() and any(path for path in run.iterdir() if not path.name.startswith(".")):
        raise InputError(f"{run} holds other files, but no run; choose another --out")
    if before is not None:
        _check_format(run, before)
    if not has_rows(run):
        before = None  # The call that wrote it ended before its first map.
    if before is not None:
        check_same(run, before, wanted, _SAME_IN_A_RUN)
        specs = {**before["specs"], **specs}
        for name, spec in before["specs"].items():
            if specs[name] != spec:
                raise InputError(
                    f"{run} holds a run in which the model {name} is {spec}, not {specs[name]}; give it another name"
                )
    digests = {
        entry: joined_digests(run, before, entry, new or {}) for entry, new in ((WEIGHTS, weights), (CODE, code))
    }
    write_record(run, {"format": FORMAT, **wanted, "specs": specs, **digests, "versions": versions})


def open_runs(folders: Sequence[Path]) -> tuple[RunRecord, ...]:
    """Read the records of runs.

    Raises:
        InputError: A folder holds no run, is named twice, or two runs measured one network in different ways.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"a run is named twice in {', '.join(map(str, folders))}; name each once")
    runs = tuple(_read(folder) for folder in folders)
    for index, run in enumerate(runs):
        for other in runs[:index]:
            _check_together(other, run)
    return runs


def _read(folder: Path) -> RunRecord:
    about = find_record(folder)
    if about is None:
        raise InputError(f"{folder} holds no run; give a folder that 'maskstack bench --out' wrote")
    _check_format(folder, about)
    return RunRecord(folder, about)


def _check_format(run: Path, about: Mapping[str, Any]) -> None:
    if about.get("format") != FORMAT:
        raise InputError(
            f"{run / RECORD} does not have the format {FORMAT}; use the version that wrote it, or another folder"
        )
    specs = about.get("specs")
    if not isinstance(specs, dict) or not all(isinstance(spec, str) for spec in specs.values()):
        raise InputError(f"{run / RECORD} is damaged (specs is not a table of texts); choose another --out")
    for field in dataclasses.fields(BenchRequest):
        value = about.get(field.name, _MISSING)
        if not _is_of(field.name, value):
            what = "missing" if value is _MISSING else f"{value!r:.60}"
            raise InputError(f"{run / RECORD} is damaged ({field.name} is {what}); choose another --out")


def _is_of(name: str, value: Any) -> bool:
    """Whether the record's value of an entry has the type that a request has."""
    if name in _LISTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name in _WHOLE:
        return (isinstance(value, int) and not isinstance(value, bool)) or (name == "images" and value is None)
    if name == "keep_maps":
        return isinstance(value, bool)
    return isinstance(value, str) or (name == "split" and value is None)


def _check_together(one: RunRecord, other: RunRecord) -> None:
    shared = [model for model in one.specs if model in other.specs]
    code_of = [digests_of(run.about, CODE) for run in (one, other)]
    for model in shared:
        if one.specs[model] != other.specs[model]:
            raise InputError(
                f"{model} is {one.specs[model]} in {one.folder} and {other.specs[model]} in {other.folder}; "
                "report them separately"
            )
        digests = [digests_of(run.about, WEIGHTS).get(model) for run in (one, other)]
        if None not in digests and digests[0] != digests[1]:
            raise InputError(
                f"{model} has other weights in {one.folder} than in {other.folder}; report them separately"
            )
    for method in code_of[0].keys() & code_of[1].keys() if shared else ():
        if code_of[0][method] != code_of[1][method]:
            raise InputError(
                f"the file of {method} is another one in {one.folder} than in {other.folder}; report them separately"
            )
    for name in _SAME_IN_A_TABLE if shared else ():
        values = one.about[name], other.about[name]
        if values[0] != values[1] and not (name == DATA and is_same_place(*values)):
            raise InputError(
                f"{shared[0]} was measured with {name}={one.about[name]!r} in {one.folder} and "
                f"{other.about[name]!r} in {other.folder}; report them separately"
            )
