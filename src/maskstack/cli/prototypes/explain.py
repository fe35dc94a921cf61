"""``maskstack prototypes explain`` and ``gallery``: what an image is like, what a class is made of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskstack.draw.prototypes import Likeness, Shown, looks_like_page, prototype_gallery
from maskstack.files import write_whole
from maskstack.models import find_class, open_photo
from maskstack.prototypes.checkpoint import Prototypes, load
from maskstack.prototypes.explaining import Answer, answer, notes, sources
from maskstack.prototypes.search import finder

_METHOD = "How regions are searched for: native, mdm, smoothgrad ... with options, as mdm:steps=40."


def explain(
    checkpoint: Annotated[Path, typer.Argument(help="What 'prototypes train' wrote.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files that Pillow reads.")],
    label: Annotated[
        str, typer.Option("--class", help="Class name or index; the predicted one if not given.")
    ] = "predicted",
    top: Annotated[int, typer.Option(min=1, help="How many prototypes, first the ones that added most.")] = 3,
    method: Annotated[str, typer.Option(help=_METHOD)] = "mdm",
    data: Annotated[
        Path | None, typer.Option(help="Training data, where the checkpoint holds no pictures of its prototypes.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pages.")] = Path("out"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, nothing else.")] = False,
) -> None:
    """Draw, for each image, the prototypes it was recognised by: this looks like that."""
    opened = [open_photo(image) for image in images]
    prototypes = load(checkpoint)
    wanted = None if label == "predicted" else find_class(prototypes.class_names, label)
    console = Console(quiet=as_json, highlight=False)
    _tell_cost(console, prototypes, method, 2 * top * len(images))
    taken: set[str] = set()
    results = []
    for path, photo in zip(images, opened, strict=True):
        tensor = prototypes.model.preprocess(photo)
        found = answer(prototypes, tensor, label=wanted, top=top, method=method, data=data)
        picture = prototypes.model.picture(tensor)
        lines = [
            Likeness(
                said.prototype,
                said.activation,
                said.weight,
                said.here.numpy(),
                said.picture,
                None if said.there is None else said.there.numpy(),
                said.source,
            )
            for said in found.said
        ]
        title = f"{path.name}: {found.name}, {found.probability:.0%}"
        figure = looks_like_page(picture, lines, title=title, method=method)
        place = out / f"{_free(path.stem, taken)}.{_plain(found.name)}.prototypes"
        page = _save(figure, place.with_name(place.name + ".png"))
        maps = found.found.save(place.with_name(place.name + ".safetensors"))
        _tell(console, path, found, page)
        results.append(_numbers(path, found) | {"page": str(page), "explanation": str(maps)})
    if as_json:
        typer.echo(json.dumps({"results": results}, indent=2))


def gallery(
    checkpoint: Annotated[Path, typer.Argument(help="What 'prototypes train' wrote.")],
    label: Annotated[str | None, typer.Option("--class", help="Class name or index; all if not given.")] = None,
    method: Annotated[str, typer.Option(help=_METHOD)] = "mdm",
    data: Annotated[
        Path | None, typer.Option(help="Training data, where the checkpoint holds no pictures of its prototypes.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the galleries.")] = Path("out"),
) -> None:
    """Draw all prototypes of a class, each in the training image it comes from."""
    prototypes = load(checkpoint)
    labels = range(len(prototypes.class_names)) if label is None else [find_class(prototypes.class_names, label)]
    console = Console(highlight=False)
    _tell_cost(console, prototypes, method, sum(len(prototypes.prototypes_of(index)) for index in labels))
    said = notes(prototypes)
    taken: set[str] = set()
    for index in labels:
        lines = _shown(prototypes, index, method, data, said)
        name = prototypes.class_names[index]
        figure = prototype_gallery(lines, title=name, method=method)
        path = out / f"{_free(_plain(name), taken)}.gallery.png"
        _save(figure, path)
        console.print(f"{name}: {len(lines)} prototypes, {path}", soft_wrap=True, markup=False)


def _save(figure: Figure, path: Path) -> Path:
    return write_whole(path, lambda file: figure.savefig(file, dpi=120))


def _shown(prototypes: Prototypes, index: int, method: str, data: Path | None, said: dict[int, str]) -> list[Shown]:
    numbers = prototypes.prototypes_of(index)
    pictures, regions = sources(prototypes, numbers, method=method, data=data)
    weights = prototypes.network.weights.detach()
    return [
        Shown(
            number,
            float(weights[number, index]),
            picture,
            None if region is None else region.numpy(),
            prototypes.sources[number].image,
            said.get(number, ""),
        )
        for number, picture, region in zip(numbers, pictures, regions, strict=True)
    ]


def _tell_cost(console: Console, prototypes: Prototypes, method: str, maps: int) -> None:
    """What the work takes at most, before it starts."""
    passes = finder(prototypes.network, method).cost(maps)
    console.print(f"{maps} maps: at most {passes['forward']:,} forward and {passes['backward']:,} backward passes")


def _tell(console: Console, path: Path, found: Answer, page: Path) -> None:
    console.print(Text.assemble((str(path), "bold"), f": {found.name}, {found.probability:.1%}"), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading in ("prototype", "similarity", "weight", "adds", "looks like"):
        table.add_column(heading)
    for said in found.said:
        numbers = (f"{said.activation:.2f}", f"{said.weight:.2f}", f"{said.contribution:.2f}")
        table.add_row(str(said.prototype), *numbers, said.source)
    console.print(table)
    for row, doubt in enumerate(found.found.degenerate):
        if doubt is not None:
            console.print(f"  prototype {found.said[row].prototype}: {doubt}", style="bold yellow", soft_wrap=True)
    console.print(f"  {page}", style="dim", soft_wrap=True, markup=False)


def _numbers(path: Path, found: Answer) -> dict[str, object]:
    return {
        "image": str(path),
        "class": found.name,
        "logit": found.logit,
        "probability": found.probability,
        "prototypes": [
            {
                "prototype": said.prototype,
                "similarity": said.activation,
                "weight": said.weight,
                "contribution": said.contribution,
                "source": said.source,
            }
            for said in found.said
        ],
    }


def _plain(name: str) -> str:
    """A class's name as a part of a file's.

    >>> _plain("Red-winged Blackbird (male)")
    'red_winged_blackbird_male'
    """
    return re.sub(r"\W+", "_", name.lower()).strip("_") or "class"


def _free(stem: str, taken: set[str]) -> str:
    """A name for the results of an image; images of the same name get numbers."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
