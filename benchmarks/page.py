"""What visits of the page cost: memory of the server, bytes sent, and how soon the page answers.

    python -m benchmarks.page [--visits 50] [--model bundled] [--preset fast] [--steps 12] [--every 10]

Starts ``maskstack app`` on the loopback address with temporary files of its own, and visits it over plain HTTP, one
visit after the other: open the page, upload a photo, let the network predict it, search, see the verdict, leave. Every
fifth visit presses Stop during a second search. Prints the resident memory of the server after each ten visits, and
medians of the other numbers: bytes of a visit's events, seconds from the press to the first picture of the search, from
the picture of the last step to the verdict, and from Stop to the verdict.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from maskstack import sample_photos
from maskstack.jobs.options import search_options

VERDICT, PICTURE = "ms-verdict", "data:image"
"""What the messages with the verdict and with a picture hold."""


@dataclass
class Measured:
    """Numbers of the visits so far.

    Attributes:
        sent: Bytes of the events of each visit.
        first_picture: Seconds from the press to the first picture of each search.
        verdict: Seconds from the picture of each search's last step to its verdict.
        stop: Seconds from Stop to the verdict of each search that was stopped.
    """

    sent: list[int] = field(default_factory=list)
    first_picture: list[float] = field(default_factory=list)
    verdict: list[float] = field(default_factory=list)
    stop: list[float] = field(default_factory=list)


class Page:
    """Talks to the server as the page's script does.

    Args:
        port: The server's port.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.config = json.loads(self.answer("GET", "/config"))

    def answer(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        """Content of the answer to a request.

        Raises:
            SystemExit: The request is refused.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {content[:300]!r}")
        return content

    def event(self, name: str) -> dict[str, Any]:
        """The page's event of this name."""
        return next(each for each in self.config["dependencies"] if each["api_name"] == name)

    def post(self, name: str, values: list[Any], session: str, *, waits: bool) -> None:
        """Send an event: into the queue if it waits for others, otherwise directly."""
        body = {"data": values, "event_data": None, "fn_index": self.event(name)["id"], "session_hash": session}
        path = "/gradio_api/queue/join" if waits else "/gradio_api/run/predict"
        self.answer("POST", path, json.dumps({**body, "trigger_id": None}).encode())

    def messages(self, session: str) -> Iterator[tuple[bytes, float]]:
        """The messages of a session's events until the current ones are completed, and when each came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        answer = connection.getresponse()
        while line := answer.readline():
            if line.startswith(b"data:"):
                yield line, time.perf_counter()
                if b'"msg":"process_completed"' in line or b'"msg":"close_stream"' in line:
                    break
        connection.close()

    def upload(self, photo: Path) -> dict[str, Any]:
        """Send a photo; how the events name it."""
        start = b'--B\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'
        body = start + photo.read_bytes() + b"\r\n--B--\r\n"
        [path] = json.loads(self.answer("POST", "/gradio_api/upload", body, "multipart/form-data; boundary=B"))
        return {"path": path, "orig_name": photo.name, "meta": {"_type": "gradio.FileData"}}


def visit(page: Page, photo: Path, measured: Measured, *, network: str, preset: str, steps: int, stops: bool) -> None:
    """One visit of the page."""
    session = uuid.uuid4().hex
    # The page keeps this open; when it is closed, the visit is over.
    alive = http.client.HTTPConnection("127.0.0.1", page.port, timeout=600)
    alive.request("GET", f"/gradio_api/heartbeat/{session}")
    alive.getresponse()
    page.answer("GET", "/")
    payload = page.upload(photo)
    page.post("on_change", [payload, network], session, waits=False)
    page.post("on_photo_or_network", [payload, network], session, waits=True)
    predicted = [line for line, _ in page.messages(session)]
    sent = sum(map(len, predicted))
    # The most probable class is the first of the choices.
    classes = re.search(rb'"choices":\[\["[^"]*","(\d+)"', b"".join(predicted))
    if classes is None:
        raise SystemExit("the page predicts no classes")
    best = classes[1].decode()
    options: list[Any] = [
        str(steps) if name == "steps" else [] if option.kind == "choices" else ""
        for name, option in search_options().items()
    ]
    sent += search(page, [best, None, preset, 0.35, *options], session, measured, stops=False)
    if stops:
        sent += search(page, [best, None, preset, 0.35, *options], session, measured, stops=True)
    measured.sent.append(sent)
    alive.close()


def search(page: Page, values: list[Any], session: str, measured: Measured, *, stops: bool) -> int:
    """Search once, and stop at the first picture if asked; the number of bytes sent."""
    pressed = time.perf_counter()
    page.post("on_explain", values, session, waits=True)
    sent, first, last, stopped = 0, None, None, None
    seen: float | None = None
    for line, now in page.messages(session):
        sent += len(line)
        if VERDICT.encode() in line and seen is None:
            seen = now
        elif PICTURE.encode() in line and seen is None:
            first, last = first or now, now
            if stops and stopped is None:
                page.post("on_stop", [], session, waits=False)
                stopped = time.perf_counter()
    if first is None or last is None or seen is None:
        raise SystemExit("a search ended without a picture or a verdict")
    if stopped is not None:
        measured.stop.append(seen - stopped)
    else:
        measured.first_picture.append(first - pressed)
        measured.verdict.append(seen - last)
    return sent


def resident(process: int) -> float:
    """Resident memory of a process in MiB; Linux only."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("the resident memory cannot be read here")


def main() -> None:
    """Start the server, visit it, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=50)
    parser.add_argument("--every", type=int, default=10, help="visits between two lines")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--smoke", action="store_true", help="two visits")
    arguments = parser.parse_args()
    visits, every = (2, 1) if arguments.smoke else (arguments.visits, arguments.every)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "maskstack", "app", "--port", str(port), "--model", f"net={arguments.model}"]
    with tempfile.TemporaryDirectory() as folder:
        photos = [Path(folder) / f"{number}.jpg" for number in range(3)]
        for path, photo in zip(photos, sample_photos(), strict=False):
            Image.Image.save(photo.convert("RGB"), path)
        log = (Path(folder) / "log.txt").open("w+")
        env = os.environ | {"TMPDIR": folder}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env) as server:
            assert server.stdout is not None
            if "http" not in server.stdout.readline():
                log.seek(0)
                raise SystemExit(f"the page did not start: {log.read()}")
            try:
                page, measured = Page(port), Measured()
                print(f"0 visits: {resident(server.pid):.0f} MiB", flush=True)
                memory = []
                for number in range(1, visits + 1):
                    visit(
                        page, photos[number % 3], measured, network="net", preset=arguments.preset,
                        steps=arguments.steps, stops=number % 5 == 0 or arguments.smoke,
                    )  # fmt: skip
                    if number % every == 0:
                        memory.append(resident(server.pid))
                        print(f"{number} visits: {memory[-1]:.0f} MiB", flush=True)
            finally:
                server.terminate()
    print(f"memory after the first {every} visits to the end: {memory[-1] - memory[0]:+.0f} MiB")
    print(f"bytes of a visit's events: median {statistics.median(measured.sent):,.0f}")
    for name, values in (
        ("from the press to the first picture", measured.first_picture),
        ("from the picture of the last step to the verdict", measured.verdict),
        ("from Stop to the verdict", measured.stop),
    ):
        if values:
            print(f"seconds {name}: median {statistics.median(values):.2f}, largest {max(values):.2f}")


if __name__ == "__main__":
    main()
