"""The real server with the real bundled network, and a real browser before it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.prototypes.conftest import Silent, config, write_folders

SCREENSHOTS = Path(os.environ.get("MASKSTACK_SCREENSHOTS", "out/screenshots"))
"""Where pictures of the page are left, to be looked at."""

FEW_STEPS = 5
"""Steps of the preset ``fast`` on the page of the tests, where ``default`` has twelve: most are not about the map."""

PROGRAM = f"""
from maskstack.cli.main import run
from maskstack.masks.presets import PRESETS
from maskstack.models.from_bundled import LITES
LITES["lite0"] = (128, "demo")
PRESETS["fast"] = PRESETS["fast"].with_(steps={FEW_STEPS})
PRESETS["default"] = PRESETS["default"].with_(steps=12)
run()
"""

_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass(frozen=True)
class Served:
    """A page that is there.

    Attributes:
        url: Its address.
        folder: Where its temporary files lie.
        process: The server.
    """

    url: str
    folder: Path
    process: subprocess.Popen[str]

    def uploads(self, name: str) -> list[Path]:
        """Files of that name which the server holds."""
        return [path for path in self.folder.rglob(name) if "samples" not in path.parts]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; without it the tests of the page say so."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    named = os.environ.get("MASKSTACK_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        pytest.skip("there is no Chromium here: apt-get install chromium, or name one by MASKSTACK_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def prototypes(tmp_path_factory) -> Path:
    """A small trained ProtoPNet."""
    pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")
    from maskstack.prototypes.run import train

    root = tmp_path_factory.mktemp("prototypes")
    train(config(write_folders(root / "data")), root / "run", Silent())
    return root / "run"


@pytest.fixture(scope="session")
def served(chromium, prototypes, tmp_path_factory) -> Iterator[Served]:
    """The page as ``maskstack app`` serves it."""
    pytest.importorskip("gradio", reason="the extra 'web' is not installed")
    limits = ("--max-megabytes", "3", "--max-megapixels", "20")
    with serving(tmp_path_factory.mktemp("served"), "--prototypes", str(prototypes), *limits) as server:
        yield server


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    """A server of its own, whose temporary files lie in the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", PROGRAM, "app", "--port", str(port), *options]
    # One thread as in the tests: sums in another order round otherwise, and the maps would not be compared exactly.
    env = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, env=env)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process, folder / "log.txt")
            yield Served(url, folder, process)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[str], log: Path) -> None:
    for _ in range(240):
        if process.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()}")
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the server did not come up: {log.read_text()}")


@pytest.fixture(scope="session")
def browser(chromium):
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, served):
    """Opens the page as a visitor of one's own; each call is another one."""
    contexts, errors = [], []

    def open_page(*, width: int = 1280):
        context = browser.new_context(viewport={"width": width, "height": 800}, accept_downloads=True)
        context.set_default_timeout(60_000)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.url)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(served.url)
        page.get_by_role("button", name="Sample: cat").wait_for()
        page.wait_for_timeout(300)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def photo(tmp_path) -> Path:
    """A photograph of one's own."""
    data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")
    from PIL import Image

    path = tmp_path / "breakfast.jpg"
    Image.fromarray(data.coffee()).save(path)
    return path
