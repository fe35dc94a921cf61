"""``maskstack prototypes``: train networks that predict by prototypes, and show what the prototypes stand for."""

import typer

from maskstack.cli.lazy import Verb, lazy_group

VERBS = {
    "train": Verb(
        "maskstack.cli.prototypes.train:train",
        "Train ProtoPNet or XProtoNet; the checkpoint is written to OUT/checkpoint.",
    ),
    "explain": Verb(
        "maskstack.cli.prototypes.explain:explain",
        "Draw the prototypes that contributed most to each image's class: this looks like that.",
    ),
    "gallery": Verb(
        "maskstack.cli.prototypes.explain:gallery",
        "Draw all prototypes of a class, each in the training image it comes from.",
    ),
    "bench": Verb(
        "maskstack.cli.prototypes.bench:bench", "Measure methods of prototype search on images, and print the table."
    ),
}
"""The commands; each is imported when it runs."""

app = typer.Typer(
    cls=lazy_group(VERBS),
    help="Train prototype networks and show what their prototypes stand for.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _prototypes() -> None:
    pass


__all__ = ["app"]
