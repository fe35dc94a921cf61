"""Serve the page until Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from maskstack.errors import InputError, require
from maskstack.prototypes.checkpoint import load
from maskstack.samples import sample_files
from maskstack.web.live import SEARCH
from maskstack.web.networks import Networks, offered
from maskstack.web.sessions import Sessions

CHECKPOINT = "prototypes.json"
"""File that marks the folder of a prototype network."""


@dataclass(frozen=True)
class AppSettings:
    """What the page offers, and where it is served.

    Attributes:
        models: Model specs to offer, each ``SPEC`` or ``NAME=SPEC``.
        folder: Folder of further networks and prototype networks to offer.
        prototypes: Checkpoints of prototype networks to offer.
        host: Address to listen on; only this machine can reach the loopback address.
        port: Port to listen on; None takes the first free port from 7860.
        max_megabytes: Maximum size of an upload.
        max_megapixels: Maximum size of a photo.
        queue: Maximum number of waiting requests.
        device: Device of the networks.
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
    """Serve the page until Ctrl-C or SIGTERM, then remove the uploads and all other files that it wrote.

    Args:
        settings: What is offered.
        say: Called with the page's address when it can be opened.

    Raises:
        MissingExtraError: Gradio is not installed.
        InputError: A network, folder, checkpoint, address or port cannot be used.
    """
    networks = Networks(offered(settings.models, settings.folder), device=settings.device)
    # The first network is loaded now, so that a wrong spec is reported before a user opens the page.
    networks.get(next(iter(networks.offers)))
    prototypes = checkpoints(settings.prototypes, settings.folder)
    for place in prototypes.values():
        load(place)
    port = _free_port(settings.host, settings.port)
    with tempfile.TemporaryDirectory(prefix="maskstack-app-") as folder:
        # Gradio reads these when it is imported and when components are made: the folder of uploads, and no analytics.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        require("gradio", extra="web")
        from maskstack.web.page import STYLE, build_page, theme

        sessions = Sessions()
        page = build_page(
            networks,
            sessions,
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
        # The uploads are also removed when the system ends the process.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            say(f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{port}")
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            sessions.end_all()
            _join_searches()  # torch crashes if the process ends during a search
            page.close(verbose=False)


def _join_searches(seconds: float = 10.0) -> None:
    for thread in threading.enumerate():
        if thread.name == SEARCH:
            thread.join(timeout=seconds)


def checkpoints(given: Sequence[Path], folder: Path | None) -> dict[str, Path]:
    """The prototype networks to offer, by name: those given and those in the folder.

    Raises:
        InputError: A folder that was given holds no checkpoint.
    """
    places = []
    for path in given:
        place = path if (path / CHECKPOINT).is_file() else path / "checkpoint"
        if not (place / CHECKPOINT).is_file():
            raise InputError(f"{path} is not a checkpoint of 'maskstack prototypes train'; give the folder it wrote")
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
    """Whether only this machine can reach an address.

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
        # Python raises other errors for a host that is not a valid name.
        except (OSError, TypeError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
    if wanted is None:
        raise InputError(f"no port from 7860 to 7959 is free on {host} ({reason}); give --host or --port")
    raise InputError(f"{host}:{wanted} cannot be used as an address ({reason}); give another --port or --host")


def _samples(folder: Path) -> dict[str, Path]:
    """Copies of the package's sample photos by their names."""
    folder.mkdir()
    return {file.stem: Path(shutil.copy(file, folder / file.name)) for file in sample_files()}
