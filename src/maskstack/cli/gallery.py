"""``maskstack gallery``: the same photos under several networks or methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from maskstack.cli.options import AsJson, Device, Page, Photos, PresetName, Resume, ValueWindow, with_search_options
from maskstack.cli.results import ResultReporter
from maskstack.jobs.gallery import GalleryRequest, make_gallery


@with_search_options
def gallery(
    photos: Photos,
    settings: Mapping[str, Any],
    model: Annotated[
        list[str] | None, typer.Option(help="A network, as SPEC or NAME=SPEC; give it once for each network.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="A method of 'maskstack methods', such as gradcam or rise:masks=1000; give it once for each.",
            show_default="mdm",
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Class name or index for all networks, or top1: the class that each network predicts.")
    ] = "top1",
    out: Annotated[Path, typer.Option(help="Folder for gallery.png and the explanations.")] = Path("out/gallery"),
    page: Page = "",
    window: ValueWindow = "",
    preset: PresetName = "default",
    resume: Resume = False,
    device: Device = "auto",
    title: Annotated[str, typer.Option(help="Title of the gallery.")] = "",
    as_json: AsJson = False,
) -> None:
    """Explain the same photos under several networks or methods and draw the table."""
    request = GalleryRequest(
        photos=tuple(photos),
        models=tuple(model or ("bundled",)),
        methods=tuple(method or ()),
        target=target,
        out=out,
        page=page,
        window=window,
        preset=preset,
        settings=settings,
        resume=resume,
        device=device,
        title=title,
    )
    reporter = ResultReporter(as_json=as_json)
    reporter.document["gallery"] = str(make_gallery(request, reporter))
    reporter.finish(out)
