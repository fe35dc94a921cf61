"""Options that several commands share; those of the search are made from ``SearchSettings``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from maskstack.jobs.options import SearchOption, read_settings, search_options
from maskstack.masks.presets import PRESETS
from maskstack.objectives.reading import KINDS

Photos = Annotated[
    list[str],
    typer.Argument(metavar="PHOTO", help="Image files in any format that Pillow reads, or folders of them."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Skip photos that have results of the same network and settings.")
]
RunFolder = Annotated[
    Path, typer.Option(help="Folder of the run; if it holds an interrupted run, that run is continued.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Measure failed maps again.")]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Run code (python:...) that a file names as its network; only for files that you trust.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs, nothing else.")]
PresetName = Annotated[str, typer.Option(help=f"Search settings to start from: {', '.join(PRESETS)}.")]

OutputChoice = Annotated[
    str,
    typer.Option(
        "--output",
        help="Which of several outputs is explained, by its place or name; or what the output is, if it was "
        f"recognised wrongly: {', '.join(KINDS)}; or both, as NAME:KIND.",
        show_default=False,
    ),
]

Page = Annotated[
    str,
    typer.Option(
        help="Page, frame or slice of each file, from 0; by default the first, or the middle slice of a volume.",
        show_default=False,
    ),
]
ValueWindow = Annotated[
    str,
    typer.Option(
        "--window",
        help="Centre and width of the grey values that are shown, such as 40/400 for soft tissue in CT; by default the "
        "window of the file, or all values.",
        show_default=False,
    ),
]

SEARCH = "Search settings (the defaults shown are those of the preset 'default')"

_FLAGS = {"joint": "--joint/--separate"}
_TYPES: dict[str, Any] = {"flag": bool, "whole": int, "real": float}


def with_search_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option to a command for each setting of a search; its argument ``settings`` receives those given."""
    own = inspect.signature(command, eval_str=True).parameters
    options = search_options()

    def run(**values: Any) -> None:
        settings = read_settings({name: values.pop(name) for name in options})
        command(**values, settings=settings)

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(option))
        for name, option in options.items()
    ]
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, parameter in own.items() if name != "settings"
    ]
    parameters = [*kept, *added]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    return run


def _annotation(option: SearchOption) -> Any:
    dashed = option.name.replace("_", "-")
    written, default = f"--{dashed}", option.text(option.default)
    if option.kind == "flag":
        written = _FLAGS.get(option.name, f"--{dashed}/--no-{dashed}")
        default = written.split("/")[0 if option.default else 1]
    described = typer.Option(written, help=_help(option), show_default=default, rich_help_panel=SEARCH)
    return Annotated[_TYPES.get(option.kind, str) | None, described]


def _help(option: SearchOption) -> str:
    if option.kind == "sizes":
        return f"{option.help} Written as 4,7,14 or 4x6,8x12."
    words = ", ".join(option.choices)
    return f"{option.help} One or several of {words}." if option.kind == "choices" else option.help
