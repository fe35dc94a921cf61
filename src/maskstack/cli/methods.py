"""``maskstack methods``: the methods and metrics that can be compared."""

from __future__ import annotations

from rich.table import Table

from maskstack.cli.console import plain_console
from maskstack.explainers.table import METHODS, OWN
from maskstack.leaderboard.measures import GROUPS


def methods() -> None:
    """List the methods and groups of metrics that 'maskstack bench' knows."""
    console = plain_console()
    own = {f"{OWN}:FILE:FUNCTION": "your own function: function(score, image) returns a map of the image"}
    for title, lines in (
        ("methods", {name: method.about for name, method in METHODS.items()} | own),
        ("metrics", {name: group.about for name, group in GROUPS.items()}),
    ):
        table = Table(title=title, title_justify="left", box=None, show_header=False)
        for name, about in lines.items():
            table.add_row(name, about)
        console.print(table)
