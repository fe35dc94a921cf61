"""``maskstack verify``: whether the numbers of a saved explanation hold."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from maskstack.cli.console import plain_console, print_table
from maskstack.cli.options import AsJson, Page, ValueWindow
from maskstack.files import json_text
from maskstack.jobs.verify import verify as verify_explanation


def verify(
    explanation: Annotated[Path, typer.Argument(help="The .safetensors file that 'maskstack explain' wrote.")],
    photo: Annotated[Path, typer.Argument(help="The photo or volume that was explained.")],
    model: Annotated[str, typer.Option(help="The network, if it is not the one that the file names.")] = "",
    page: Page = "",
    window: ValueWindow = "",
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Load the file's network even if that runs code, such as python:.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the numbers of a saved explanation again; exits with 1 where they differ."""
    compared = verify_explanation(explanation, photo, model=model, page=page, window=window, allow_code=allow_code)
    differing = [each for each in compared if not each.agrees]
    if as_json:
        rows = [{**dataclasses.asdict(each), "agrees": each.agrees} for each in compared]
        typer.echo(json_text({"verified": not differing, "numbers": rows}))
    else:
        console = plain_console()
        table = Table("number", "saved", "measured", "", box=None, pad_edge=False)
        for each in compared:
            table.add_row(each.name, _number(each.saved), _number(each.measured), "" if each.agrees else "differs")
        print_table(console, table)
        count = len(differing)
        console.print(
            f"{count} of {len(compared)} numbers differ: the photo, its page or window, the network or the file is "
            "another one"
            if count
            else f"all {len(compared)} numbers hold",
            soft_wrap=True,
        )
    if differing:
        raise typer.Exit(1)


def _number(value: float) -> str:
    """A number in words; a share is not measurable where a blank image scores as high as the photo."""
    return "not measurable" if math.isnan(value) else f"{value:.3f}"
