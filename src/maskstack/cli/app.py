"""``maskstack app``: the page in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstack.cli.device import pick_device
from maskstack.web.serve import AppSettings, is_loopback, serve


def app(
    model: Annotated[
        list[str] | None,
        typer.Option(help="A network to offer, as SPEC or NAME=SPEC; may be given several times."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of further networks: models.toml, .onnx, .pt2, prototype checkpoints.")
    ] = None,
    prototypes: Annotated[
        list[Path] | None, typer.Option(help="Checkpoint of 'prototypes train' to offer; may be given several times.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine's alone.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 for any, otherwise the first free from 7860.")
    ] = None,
    max_megabytes: Annotated[int, typer.Option(min=1, help="Largest upload.")] = 20,
    max_megapixels: Annotated[int, typer.Option(min=1, help="Largest photo.")] = 50,
    queue: Annotated[int, typer.Option(min=1, help="How many pieces of work may wait.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Open a page where photos are explained in the browser; Ctrl-C ends it."""
    console = Console(highlight=False, soft_wrap=True)
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
    )

    def say(address: str) -> None:
        console.print(f"maskstack is at {address}; Ctrl-C ends it")
        if not is_loopback(host):
            console.print("note: everybody who can reach this machine can use it")

    serve(settings, say)
