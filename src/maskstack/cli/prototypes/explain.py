"""``maskstack prototypes explain`` and ``gallery``: the prototypes behind a prediction, and those of a class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskstack.cli.console import plain_console, print_table
from maskstack.cli.options import AllowCode, AsJson
from maskstack.errors import InputError
from maskstack.explanation.naming import CLASS_GALLERY, EXPLANATION, PROTOTYPES, file_part, free_name, with_ending
from maskstack.files import json_text, write_whole
from maskstack.models import find_class, open_photo
from maskstack.prototypes.checkpoint import Prototypes, load
from maskstack.prototypes.explaining import Answer, answer, gallery_figure, notes
from maskstack.prototypes.search import finder
from maskstack.reliability import Verdict

_Method = Annotated[
    str, typer.Option(help="Method that finds the regions: native, mdm, smoothgrad ... with options, as mdm:steps=40.")
]
_Data = Annotated[
    Path | None, typer.Option(help="Training data, needed if the checkpoint holds no pictures of its prototypes.")
]


def explain(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that 'prototypes train' wrote.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Image files, in any format that Pillow reads.")
    ],
    label: Annotated[
        str, typer.Option("--class", help="Class name or index; the predicted class if not given.")
    ] = "predicted",
    top: Annotated[int, typer.Option(min=1, help="Number of prototypes, those that contributed most first.")] = 3,
    method: _Method = "mdm",
    data: _Data = None,
    out: Annotated[Path, typer.Option(help="Folder for the pages.")] = Path("out"),
    as_json: AsJson = False,
    allow_code: AllowCode = False,
) -> None:
    """Draw the prototypes that contributed most to each image's class: this looks like that."""
    _check_data(data)
    opened = [open_photo(image) for image in images]
    prototypes = load(checkpoint, allow_code=allow_code)
    wanted = None if label == "predicted" else find_class(prototypes.class_names, label)
    console = plain_console(quiet=as_json)
    labels = range(len(prototypes.class_names)) if wanted is None else [wanted]
    most = min(top, max(len(prototypes.prototypes_of(index)) for index in labels))
    _tell_cost(console, prototypes, method, 2 * most * len(images))
    _tell_pictures(console, prototypes, data)
    taken: set[str] = set()
    results = []
    for path, photo in zip(images, opened, strict=True):
        tensor = prototypes.model.preprocess(photo)
        found = answer(prototypes, tensor, label=wanted, top=top, method=method, data=data)
        picture = prototypes.model.picture(tensor)
        title = f"{path.name}: {found.name}, {found.probability:.0%}"
        figure = found.figure(picture, title=title, method=method)
        place = out / f"{free_name(path.stem, taken)}.{file_part(found.name)}{PROTOTYPES}"
        page = _save(figure, with_ending(place, ".png"))
        maps = found.found.save(with_ending(place, EXPLANATION))
        _tell(console, path, found, page)
        results.append(_numbers(path, found) | {"page": str(page), "explanation": str(maps)})
    if as_json:
        typer.echo(json_text({"results": results}))


def gallery(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that 'prototypes train' wrote.")],
    label: Annotated[str | None, typer.Option("--class", help="Class name or index; all if not given.")] = None,
    method: _Method = "mdm",
    data: _Data = None,
    out: Annotated[Path, typer.Option(help="Folder for the galleries.")] = Path("out"),
    allow_code: AllowCode = False,
) -> None:
    """Draw all prototypes of a class, each in the training image it comes from."""
    _check_data(data)
    prototypes = load(checkpoint, allow_code=allow_code)
    labels = range(len(prototypes.class_names)) if label is None else [find_class(prototypes.class_names, label)]
    console = plain_console()
    _tell_cost(console, prototypes, method, sum(len(prototypes.prototypes_of(index)) for index in labels))
    _tell_pictures(console, prototypes, data)
    duplicated = notes(prototypes)
    taken: set[str] = set()
    for index in labels:
        name = prototypes.class_names[index]
        figure = gallery_figure(prototypes, index, method=method, data=data, notes=duplicated)
        path = out / f"{free_name(file_part(name), taken)}{CLASS_GALLERY}"
        _save(figure, path)
        console.print(f"{name}: {len(prototypes.prototypes_of(index))} prototypes, {path}", soft_wrap=True)


def _save(figure: Figure, path: Path) -> Path:
    written = write_whole(path, lambda file: figure.savefig(file, dpi=120))
    figure.clear()  # its parts refer to each other, so Python would keep its pictures for long
    return written


def _check_data(data: Path | None) -> None:
    """Check that the folder of the training data is there; the pages would lack their pictures otherwise."""
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data} is not a folder; give the folder of the training data")


def _tell_pictures(console: Console, prototypes: Prototypes, data: Path | None) -> None:
    """Print how many prototypes have no picture here, as pages then show only their number."""
    count = len(prototypes.sources)
    lost = sum(prototypes.source_path(number, data=data) is None for number in range(count))
    if lost:
        console.print(
            f"{lost} of {count} prototypes have no picture here; give the folder of the training data by --data",
            soft_wrap=True,
        )


def _tell_cost(console: Console, prototypes: Prototypes, method: str, maps: int) -> None:
    """Print the maximum cost of the work, before it starts."""
    passes = finder(prototypes.network, method).cost(maps)
    console.print(f"{maps} maps: at most {passes['forward']:,} forward and {passes['backward']:,} backward passes")


def _tell(console: Console, path: Path, found: Answer, page: Path) -> None:
    console.print(Text.assemble((str(path), "bold"), f": {found.name}, {found.probability:.1%}"), soft_wrap=True)
    table = Table("prototype", "similarity", "weight", "adds", "looks like", box=None, pad_edge=False)
    for one in found.evidence:
        numbers = (f"{one.activation:.2f}", f"{one.weight:.2f}", f"{one.contribution:.2f}")
        table.add_row(str(one.prototype), *numbers, one.source)
    print_table(console, table)
    for one in found.evidence:
        for place, problem in (*one.problems, *one.doubts):
            line = f"  prototype {one.prototype}{place}: {problem}"
            console.print(line, style="bold yellow", soft_wrap=True)
    console.print(f"  {page}", style="dim", soft_wrap=True)


def _numbers(path: Path, found: Answer) -> dict[str, object]:
    return {
        "image": str(path),
        "class": found.name,
        "logit": found.logit,
        "probability": found.probability,
        "prototypes": [
            {
                "prototype": one.prototype,
                "similarity": one.activation,
                "weight": one.weight,
                "contribution": one.contribution,
                "source": one.source,
                "problem": one.problem or None,
                "source_problem": one.source_problem or None,
                "verdict": _judged(one.verdict),
                "source_verdict": _judged(one.source_verdict),
            }
            for one in found.evidence
        ],
    }


def _judged(verdict: Verdict | None) -> dict[str, object] | None:
    return None if verdict is None else {"word": verdict.word, "sentence": verdict.sentence}
