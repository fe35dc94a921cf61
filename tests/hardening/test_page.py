"""The page, attacked on the loopback address."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hardening.counts import LONG, tries
from tests.hardening.damage import ODD
from tests.web.conftest import serving

from maskstack.errors import InputError
from maskstack.runs.folder import locked
from maskstack.web.guard import AllowedHosts
from maskstack.web.room import UploadRoom
from maskstack.web.serve import FOLDER

NET = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
UPLOAD = "/gradio_api/upload"


class Attacker:
    """Sends requests to a page.

    Args:
        port: The page's port.
        folder: Folder of its temporary files.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self.folder = port, folder

    def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send a request; status, headers and content of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            given = {"Host": f"127.0.0.1:{self.port}"} | (headers or {})
            if body is not None:
                given.setdefault("Content-Length", str(len(body)))
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def upload(self, content: bytes, name: bytes = b"a.png", **headers: str) -> int:
        """Send an upload; status of the answer."""
        start = b'--B\r\nContent-Disposition: form-data; name="files"; filename="' + name + b'"\r\n\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=B"}
        return self.send("POST", UPLOAD, kind | headers, start + content + b"\r\n--B--\r\n")[0]

    def kept(self) -> list[Path]:
        """Uploads that the server keeps."""
        return [
            path
            for path in self.folder.rglob("maskstack-app-*/*/*")
            if path.is_file() and path.parent.name != "samples"
        ]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Attacker]:
    pytest.importorskip("gradio", reason="the extra 'web' is not installed")
    folder = tmp_path_factory.mktemp("page")
    (folder / "nets.py").write_text(NET)
    options = ("--max-megabytes", "1", "--allow-host", "maps.example.org")
    with serving(folder, "--model", f"python:{folder / 'nets.py'}:make,size=16", *options) as served:
        yield Attacker(int(served.url.rpartition(":")[2]), folder)
    log = (folder / "log.txt").read_text(errors="replace")
    assert "Traceback" not in log, log[-3000:]


PLACES = [
    "/",
    "/config",
    "/theme.css",
    "/gradio_api/info",
    "/gradio_api/queue/join",
    UPLOAD,
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/heartbeat/abc",
    "/gradio_api/queue/data?session_hash=abc",
    "/gradio_api/startup-events",
    "/gradio_api/run/predict",
    "/gradio_api/upload_progress?upload_id=a",
    "/assets/x.js",
    "/static/x.png",
    "/manifest.json",
    "/nothing",
]
EVIL = [
    "evil.example",
    "evil.example:7860",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.0.0.1",
    "[::2]",
    "",
    "a b",
    "localhost@evil.example",
]


@pytest.mark.slow
def test_the_page_itself_is_answered_with_its_headers(page) -> None:
    own = f"http://127.0.0.1:{page.port}"
    for headers in ({}, {"Origin": own}, {"Host": f"localhost:{page.port}", "Origin": f"http://localhost:{page.port}"}):
        status, found, _ = page.send("GET", "/", headers)
        assert status == 200
        assert found["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in found["Content-Security-Policy"]
    assert page.send("GET", "/", {"Host": "maps.example.org", "Origin": "https://maps.example.org"})[0] == 200
    assert page.upload(b"x", Origin=own) == 200


@pytest.mark.slow
def test_other_hosts_and_origins_are_refused_everywhere(page) -> None:
    origins = [f"http://{host}" for host in EVIL] + ["null", "file://", f"http://localhost:{page.port + 1}"]
    for place in PLACES:
        for method in ("GET", "POST", "OPTIONS", "HEAD"):
            body = b"{}" if method == "POST" else None
            for host in EVIL[: None if LONG or place == UPLOAD else 2]:
                assert page.send(method, place, {"Host": host}, body)[0] in (400, 403), (method, place, host)
            for origin in origins[: None if LONG or place == UPLOAD else 2]:
                found = page.send(method, place, {"Origin": origin}, body)
                assert found[0] == 403, (method, place, origin)
                assert "Access-Control-Allow-Origin" not in found[1]
    before = len(page.kept())
    assert page.upload(b"x" * 9, Host="evil.example") == page.upload(b"x" * 9, Origin="http://evil.example") == 403
    assert len(page.kept()) == before


BAD = [
    "/%00", "/gradio_api/file=%00", "/gradio_api/file=" + "a" * 5000, "/" + "a" * 5000,
    "/gradio_api/file=/" + "a" * 300,
    "/gradio_api/file=/etc/passwd", "/gradio_api/file=../../etc/passwd", "/%ff%fe", "/assets/%00", "/static/../../x",
    "/svelte/..%2f..%2fx", "/monitoring", "/monitoring/summary", "/monitoring/x", "/gradio_api/monitoring",
    "//monitoring",
    "/?a=" + "a" * 5000, "/gradio_api/queue/data?session_hash=%00", "/gradio_api/proxy=http://evil.example", "/docs",
    "/openapi.json", "/%0d%0aX:%20y", "/gradio_api/heartbeat/%00", "/custom_component/%2e%2e/x", "/a%7fb",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", BAD, ids=range(len(BAD)))
def test_bad_paths_are_the_clients_fault(path, page) -> None:
    assert 400 <= page.send("GET", path)[0] < 500


@pytest.mark.slow
def test_websockets_of_others_are_refused(page) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    for path in ("/gradio_api/queue/join", "/queue/data", "/"):
        for own in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            assert page.send("GET", path, {**upgrade, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", **own})[0] == 403


JSON = {"Content-Type": "application/json"}
USUAL = {"data": [None], "event_data": None, "fn_index": 0, "trigger_id": 1, "session_hash": "abc"}
BODIES = [
    b"", b"{", b"null", b"[]", b'"x"', b"1", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"1e999",
    b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b'{"data":[1e999],"fn_index":0,"session_hash":"abc"}',
    b'{"data":[' + b"9" * 5000 + b'],"fn_index":0,"session_hash":"abc"}', b"\x00", b"\xef\xbb\xbf{}",
]  # fmt: skip


@pytest.mark.slow
def test_content_that_the_page_does_not_send_is_refused(page, tally) -> None:
    bodies = [*BODIES, *(json.dumps({**USUAL, key: value}).encode() for key in USUAL for value in ODD)]
    bodies += [json.dumps({key: USUAL[key] for key in USUAL if key != name}).encode() for name in USUAL]
    for path in (
        "queue/join",
        "run/predict",
        "run/on_stop",
        "cancel",
        "reset",
        "call/on_stop",
        "vibe-edit",
        "stream/x",
    ):
        for number, body in enumerate(bodies[: None if LONG or path == "queue/join" else 30]):
            with tally.trial(f"{path} {number}"):
                assert page.send("POST", f"/gradio_api/{path}", JSON, body)[0] < 500
    for kind in (
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "application/json; charset=x",
        "",
    ):
        for path in ("queue/join", "run/predict", "upload"):
            for body in (b"", b"{}", b"--B\r\n\r\n", b"a=1"):
                with tally.trial(f"{path} as {kind}"):
                    assert page.send("POST", f"/gradio_api/{path}", {"Content-Type": kind}, body)[0] < 500


@pytest.mark.slow
def test_events_with_values_of_other_types(page, tally) -> None:
    """The right number of values for each event, and none of them what a control would send."""
    events = json.loads(page.send("GET", "/config")[2])["dependencies"]
    chance = random.Random(0)
    other: list[Any] = [
        *ODD[:-4],
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": 5},
        {"path": "x" * 5000},
    ]
    for number in range(tries(60, 400)):
        event = chance.choice(events)
        values = [chance.choice(other) for _ in event["inputs"]]
        asked = {**USUAL, "data": values, "fn_index": event["id"], "session_hash": f"s{number}"}
        for path in ("queue/join", "run/predict"):
            with tally.trial(f"{path} {event['id']} {values!r:.100}"):
                assert page.send("POST", f"/gradio_api/{path}", JSON, json.dumps(asked).encode())[0] in (
                    200,
                    400,
                    404,
                    422,
                    503,
                )


@pytest.mark.slow
def test_uploads_that_nobody_uses_are_bounded(page) -> None:
    statuses = {page.upload(bytes([number]) * 300_000, b"%d.png" % number) for number in range(tries(30, 120))}
    assert statuses <= {200, 429}
    assert sum(path.stat().st_size for path in page.kept()) <= 2_300_000
    assert len(page.kept()) <= 21
    assert page.upload(bytes(2_500_000)) == 413
    for name in (b"../../evil.png", b"a\x00b.png", b"x" * 5000, b"\xff.png", b"", b"."):
        assert page.upload(b"x", name) < 500
    assert not list(page.folder.parent.glob("evil.png"))


@pytest.mark.slow
def test_a_request_without_length_or_too_large_is_refused(page) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as raw:
        head = f"POST {UPLOAD} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw.sendall(head.encode() + b"1\r\nx\r\n0\r\n\r\n")
        assert b" 411 " in raw.recv(200)
    assert page.send("POST", "/gradio_api/queue/join", {"Content-Length": str(10**9)})[0] == 413


def test_hosts_by_name_and_address() -> None:
    inside, outside = AllowedHosts("127.0.0.1"), AllowedHosts("0.0.0.0", ("maps.example.org:443",))
    assert inside.admits("[::1]:80")
    assert not inside.admits("192.168.0.7")
    assert outside.admits("192.168.0.7:7860")
    assert not outside.admits("evil.example")
    assert outside.admits_origin("https://maps.example.org", "127.0.0.1:7860")
    assert not outside.admits_origin("https://evil.example", "maps.example.org")


def test_a_page_that_runs_for_long_keeps_its_folder_when_another_starts(tmp_path) -> None:
    now = [2_000_000_000.0]  # later than the times of the files
    page = tmp_path / f"{FOLDER}one"
    room = UploadRoom(page, list, most_bytes=100, clock=lambda: now[0])
    with locked(page):
        (page / "samples").mkdir()
        (page / "samples" / "cat.jpg").touch()
        (page / "upload.jpg").touch()
        room.sweep()
        with pytest.raises(InputError, match="in use by another process"), locked(page):
            pass
        assert sorted(path.name for path in page.rglob("*.jpg")) == ["cat.jpg"]


def test_room_is_made_by_removing_the_oldest_unused_files(tmp_path) -> None:
    now = [1_000_000.0]
    used = tmp_path / "u" / "u.png"
    room = UploadRoom(tmp_path, lambda: [used], most_bytes=100, most_files=3, clock=lambda: now[0])

    def arrive(name: str, size: int) -> bool:
        if not room.reserve(size):
            return False
        path = tmp_path / name.partition(".")[0] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
        os.utime(path, (now[0], now[0]))
        room.release(size)
        return True

    assert arrive("u.png", 90)
    assert all(arrive(f"{number}.png", 30) for number in range(3))
    assert not arrive("3.png", 30), "all are new"
    now[0] += 60
    assert arrive("3.png", 30)
    assert sum((tmp_path / str(number)).exists() for number in range(3)) < 3
    now[0] += 1000
    room.sweep()
    assert [path.name for path in tmp_path.rglob("*.png")] == ["u.png"]
