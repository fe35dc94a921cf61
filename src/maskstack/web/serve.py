"""Serve the page until Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from maskstack.allocator import give_back_blocks, share_blocks
from maskstack.errors import InputError, OutputError, require
from maskstack.prototypes.checkpoint import load
from maskstack.runs.folder import locked
from maskstack.samples import sample_files
from maskstack.web.faults import say_strange_requests
from maskstack.web.guard import AllowedHosts, Guard, is_loopback
from maskstack.web.live import search_thread
from maskstack.web.networks import Networks, offered
from maskstack.web.room import UploadRoom
from maskstack.web.sessions import Sessions

FOLDER = "maskstack-app-"
"""How the name of a server's temporary folder begins."""

UNUSED = 2
"""The uploads that no session uses may have this multiple of the largest upload in bytes."""

__all__ = ["AppSettings", "checkpoints", "is_loopback", "serve"]

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
        allow_hosts: Further names by which browsers may call the page, such as that of a proxy.
        allow_code: Whether the folder and the checkpoints may name code as a network, which is then run.
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
    allow_hosts: tuple[str, ...] = ()
    allow_code: bool = False


def serve(settings: AppSettings, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM, then remove the uploads and all other files that it wrote.

    Args:
        settings: What is offered.
        say: Called with the page's address when it can be opened.

    Raises:
        MissingExtraError: Gradio is not installed.
        InputError: A network, folder, checkpoint, address or port cannot be used.
    """
    share_blocks()
    offers = offered(settings.models, settings.folder, allow_code=settings.allow_code)
    networks = Networks(offers, device=settings.device)
    # The first network is loaded now, so that a wrong spec is reported before a user opens the page.
    networks.get(next(iter(networks.offers)))
    prototypes = checkpoints(settings.prototypes, settings.folder)
    for place in prototypes.values():
        load(place, allow_code=settings.allow_code)
    port = _free_port(settings.host, settings.port)
    # The folder is locked, so that another server can tell that it is in use.
    with _own_folder() as folder, locked(Path(folder)):
        # Gradio reads these when it is imported and when components are made: the folder of uploads, and no analytics.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        gradio = require("gradio", extra="web")
        from maskstack.web.page import STYLE, build_page, sample_style, theme

        sessions = Sessions()
        samples = _samples(Path(folder) / "samples")
        page = build_page(
            networks,
            sessions,
            root=Path(folder),
            samples=samples,
            prototypes=prototypes,
            max_pixels=settings.max_megapixels * 1_000_000,
            allow_code=settings.allow_code,
        )
        page.queue(max_size=settings.queue, default_concurrency_limit=4)
        largest = settings.max_megabytes * 1_000_000
        application = gradio.mount_gradio_app(
            require("fastapi", extra="web").FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
            page,
            path="/",
            server_name=settings.host,
            server_port=port,
            max_file_size=largest,
            enable_monitoring=False,
            show_error=False,
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            footer_links=[],
            css=sample_style(samples),
            css_paths=STYLE,
            theme=theme(),
        )
        room = UploadRoom(Path(folder), sessions.files, most_bytes=UNUSED * largest)
        hosts = AllowedHosts(settings.host, settings.allow_hosts)
        events = {number: len(event.inputs) for number, event in page.fns.items() if event.fn is not None}
        guard = Guard(application, hosts=hosts, room=room, largest=largest, events=events)
        say_strange_requests()
        address = f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{port}"
        # The uploads are also removed when the system ends the process.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        threads = set(threading.enumerate())
        try:
            with _running(guard, settings.host, port):
                say(address)
                while True:
                    time.sleep(20)
                    room.sweep()
                    give_back_blocks()
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            sessions.end_all()
            search_thread().shutdown(wait=True)
            search_thread.cache_clear()
            page.close(verbose=False)
            _wait_for(set(threading.enumerate()) - threads)


@contextlib.contextmanager
def _running(guard: Guard, host: str, port: int) -> Iterator[None]:
    """Run the server in a thread while the context is active.

    Raises:
        InputError: It cannot be started.
    """
    uvicorn = require("uvicorn", extra="web")
    config = uvicorn.Config(
        guard, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="maskstack server", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise InputError(f"{host}:{port} cannot be served; give another --port or --host")
            time.sleep(0.02)
        yield
    finally:
        # The server is ending: requests that it cuts off are not reported as errors.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True
        thread.join(timeout=10)


def _wait_for(threads: Iterable[threading.Thread], *, most: float = 30.0) -> None:
    """Wait until the threads have answered their last request: torch aborts the process if it ends while they compute.

    Args:
        threads: The threads.
        most: Maximum number of seconds.
    """
    end = time.monotonic() + most
    for thread in threads:
        thread.join(timeout=max(end - time.monotonic(), 0))


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for this server's files; those that killed servers left are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        with contextlib.suppress(OSError):
            if (
                not left.is_symlink()
                and left.is_dir()
                and (not hasattr(os, "getuid") or left.stat().st_uid == os.getuid())
            ):
                _remove_if_left(left)
    return tempfile.TemporaryDirectory(prefix=FOLDER)


def _remove_if_left(folder: Path) -> None:
    with contextlib.suppress(InputError, OutputError), locked(folder):
        shutil.rmtree(folder, ignore_errors=True)


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
