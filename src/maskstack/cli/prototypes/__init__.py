"""``maskstack prototypes``: networks whose answers are made of prototypes, and what these stand for."""

import typer

from maskstack.cli.prototypes.bench import bench
from maskstack.cli.prototypes.explain import explain, gallery
from maskstack.cli.prototypes.train import train

app = typer.Typer(
    help="Networks whose answers are made of prototypes: train them, see what the prototypes stand for.",
    no_args_is_help=True,
)
app.command()(train)
app.command()(explain)
app.command()(gallery)
app.command()(bench)

__all__ = ["app"]
