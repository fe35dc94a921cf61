"""``maskstack gallery``: the same photos under several networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskstack.jobs.gallery import Request, make_gallery
from maskstack.masks.presets import PRESETS


def gallery(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Image files that Pillow reads.")],
    model: Annotated[
        list[str] | None, typer.Option(help="A network, as SPEC or NAME=SPEC; give it once for each network.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="Class name or index for all, or top1: what each network itself predicts.")
    ] = "top1",
    out: Annotated[Path, typer.Option(help="Folder for gallery.png and the explanations.")] = Path("out/gallery"),
    preset: Annotated[str, typer.Option(help=f"Settings of the search: {', '.join(PRESETS)}.")] = "default",
    resume: Annotated[bool, typer.Option("--resume", help="Skip what an earlier run finished.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")] = "auto",
    title: Annotated[str, typer.Option(help="Line over the gallery.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, nothing else.")] = False,
) -> None:
    """Draw networks x photos: what each network says, and the region that made it say so."""
    make_gallery(
        Request(
            photos=tuple(photos),
            models=tuple(model or ("bundled",)),
            target=target,
            out=out,
            preset=preset,
            resume=resume,
            device=device,
            title=title,
            as_json=as_json,
        )
    )
