"""``maskstack models``: the kinds of networks that can be loaded here."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column, Table

from maskstack.cli.console import plain_console
from maskstack.files import json_text
from maskstack.models import installed_models


def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """List the kinds of networks that can be loaded, and what each needs."""
    found = installed_models()
    if as_json:
        typer.echo(json_text([kind._asdict() for kind in found]))
        return
    console = plain_console()
    headings = (Column(heading, overflow="fold") for heading in ("kind", "what", "here"))
    table = Table(*headings, box=None, pad_edge=False)
    for kind in found:
        table.add_row(kind.kind, kind.what, kind.status if kind.status != "ready" else f"ready ({kind.version})")
    console.print(table)
    console.print("\nexamples:")
    for kind in found:
        console.print(f"  --model {kind.example}", soft_wrap=True)
