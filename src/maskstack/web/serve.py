"""Serving the page until Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from maskstack.errors import InputError, MissingExtraError
from maskstack.errors import require
from maskstack.prototypes.checkpoint import load
from maskstack.web.live import SEARCH
from maskstack.web.networks import Networks, offered
from maskstack.web.visits import Visits

CHECKPOINT = "prototypes.json"
"""File by which a prototype network's folder is known."""


@dataclass(frozen=True)
class AppSettings:
    """What the page offers and to whom.

    Attributes:
        models: Model specs to offer, each ``SPEC`` or ``NAME=SPEC``.
        folder: Holds further networks and prototype networks to offer.
        prototypes: Checkpoints of prototype networks to offer.
        host: Address to listen on; the loopback address lets nobody else in.
        port: Port to listen on; None takes the first that is free from 7860 on.
        max_megabytes: Of an upload.
        max_megapixels: Of a photo.
        queue: How many pieces of work may wait.
        device: Where networks work.
    """

    models: tuple[str, ...] = ()
    folder: Path | None = None
    prototypes: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int | None = None
    max_megabytes: int = 20
    max_megapixels: int = 50
    queue: int = 16
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def serve(settings: AppSettings, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM; uploads and whatever else it wrote are removed then.

    Args:
        settings: What is offered.
        say: Told the page's address once it is there.

    Raises:
        MissingExtraError: Gradio is not installed.
        InputError: A network, folder, checkpoint, address or port cannot be used.
    """
    networks = Networks(offered(settings.models, settings.folder), device=settings.device)
    # The first network is loaded now, so that a wrong spec is not found by the first visitor.
    networks.get(next(iter(networks.offers)))
    prototypes = checkpoints(settings.prototypes, settings.folder)
    for place in prototypes.values():
        load(place)
    port = _free_port(settings.host, settings.port)
    with tempfile.TemporaryDirectory(prefix="maskstack-app-") as folder:
        # Read by Gradio when it is imported and when parts are made: uploads go there, and nothing is told to anybody.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        require("gradio", extra="web")
        from maskstack.web.page import STYLE, build_page, theme

        visits = Visits()
        page = build_page(
            networks,
            visits,
            root=Path(folder),
            samples=_samples(Path(folder) / "samples"),
            prototypes=prototypes,
            max_pixels=settings.max_megapixels * 1_000_000,
        )
        page.queue(max_size=settings.queue, default_concurrency_limit=4)
        page.launch(
            server_name=settings.host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            max_file_size=settings.max_megabytes * 1_000_000,
            footer_links=[],
            css_paths=STYLE,
            theme=theme(),
        )
        # A page that is ended by the system removes the uploads too.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            say(f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{port}")
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            visits.end_all()
            _join_searches()  # torch does not survive an end in its middle
            page.close(verbose=False)


def _join_searches(seconds: float = 10.0) -> None:
    for thread in threading.enumerate():
        if thread.name == SEARCH:
            thread.join(timeout=seconds)


def checkpoints(given: Sequence[Path], folder: Path | None) -> dict[str, Path]:
    """The prototype networks to offer, by name: those given and those of the folder.

    Raises:
        InputError: One that was given is none.
    """
    places = []
    for path in given:
        place = path if (path / CHECKPOINT).is_file() else path / "checkpoint"
        if not (place / CHECKPOINT).is_file():
            raise InputError(f"{path} is no checkpoint of 'maskstack prototypes train'; give the folder it wrote")
        places.append(place)
    for path in sorted(folder.iterdir()) if folder is not None else ():
        places += [place for place in (path, path / "checkpoint") if (place / CHECKPOINT).is_file()]
    found: dict[str, Path] = {}
    for place in places:
        run = place.resolve().parent if place.resolve().name == "checkpoint" else place.resolve()
        if place.resolve() not in {other.resolve() for other in found.values()}:
            found[run.name if run.name not in found else str(run)] = place
    return found


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _free_port(host: str, wanted: int | None) -> int:
    for port in [wanted] if wanted is not None else range(7860, 7960):
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return int(probe.getsockname()[1])
        # Python refuses a host that is no name at all with errors of its own.
        except (OSError, TypeError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
    if wanted is None:
        raise InputError(f"no port from 7860 to 7959 is free on {host} ({reason}); give --host or --port")
    raise InputError(f"{host}:{wanted} cannot be listened on ({reason}); give another --port or --host")


def _samples(folder: Path) -> dict[str, Path]:
    """Photos to begin with, where scikit-image is there to give them."""
    try:
        data = require("skimage.data", extra="demo")
    except MissingExtraError:
        return {}
    folder.mkdir()
    photos = {"cat": data.chelsea(), "coffee": data.coffee(), "cameraman": data.camera()}
    for name, photo in photos.items():
        Image.fromarray(photo).convert("RGB").save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in photos}
