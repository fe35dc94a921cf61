"""``maskstack app``: serve the page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskstack.cli.console import plain_console
from maskstack.cli.options import AllowCode
from maskstack.jobs.machine import pick_device
from maskstack.web.serve import AppSettings, is_loopback, serve


def app(
    model: Annotated[
        list[str] | None, typer.Option(help="A network to offer, as SPEC or NAME=SPEC; give it once for each network.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of further networks: models.toml, .onnx, .pt2, prototype checkpoints.")
    ] = None,
    prototypes: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoint of 'prototypes train' to offer; give it once for each checkpoint."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default, only this machine can open the page.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 for any free port; by default the first free port from 7860."),
    ] = None,
    max_megabytes: Annotated[int, typer.Option(min=1, help="Maximum size of an upload.")] = 20,
    max_megapixels: Annotated[int, typer.Option(min=1, help="Maximum size of a photo.")] = 50,
    queue: Annotated[int, typer.Option(min=1, help="Maximum number of waiting requests.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name by which browsers may call the page, such as that of a proxy."),
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Serve a page that explains photos in the browser; Ctrl-C ends it."""
    console = plain_console(soft_wrap=True)
    settings = AppSettings(
        models=tuple(model or ()),
        folder=models,
        prototypes=tuple(prototypes or ()),
        host=host,
        port=port,
        max_megabytes=max_megabytes,
        max_megapixels=max_megapixels,
        queue=queue,
        device=pick_device(device),
        allow_hosts=tuple(allow_host or ()),
        allow_code=allow_code,
    )

    def say(address: str) -> None:
        console.print(f"maskstack is at {address}; stop it with Ctrl-C")
        if not is_loopback(host):
            console.print("note: everyone who can reach this machine can use the page")

    serve(settings, say)
