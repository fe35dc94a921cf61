"""What stands before the page: it answers only its own page, and bounds what others can send."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from maskstack.web.requests import EVENTS, POSTED, is_off, trouble_in
from maskstack.web.room import UploadRoom

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_PATH, LONGEST_NAME, LONGEST_QUERY = 2000, 255, 4000
"""Largest number of bytes of a request's path, of a name within it, and of its query."""

MOST_BYTES = 1_000_000
"""Largest number of bytes of a request that is not an upload, and of what an upload has besides its file."""

POLICY = (
    # Gradio's page has scripts and styles within it, and makes functions from text.
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)

HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)

_READING = ("GET", "HEAD", "OPTIONS")

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?", re.ASCII)


@dataclass(frozen=True)
class AllowedHosts:
    """The names by which browsers may call the page.

    A page of another site can make a browser send requests here, under a name of its own that it points to this
    machine. It cannot do so under an address, or under a name that is not its own.

    Attributes:
        host: Address that the page listens on.
        others: Further names, such as that of a proxy.
    """

    host: str
    others: tuple[str, ...] = ()

    def admits(self, host: str) -> bool:
        """Whether a request for this host, with or without a port, is for the page.

        >>> hosts = AllowedHosts("127.0.0.1", ("maps.example.org",))
        >>> hosts.admits("localhost:7860"), hosts.admits("maps.example.org"), hosts.admits("evil.example")
        (True, True, False)
        """
        name = _name(host)
        if name is None:
            return False
        if name in (_plain(self.host), "localhost", *map(_plain, self.others)):
            return True
        return is_loopback(name) or (not is_loopback(_plain(self.host)) and _is_address(name))

    def admits_origin(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may send a request to this host: it is the page itself.

        >>> hosts = AllowedHosts("127.0.0.1")
        >>> hosts.admits_origin("http://localhost:7860", "localhost:7860"), hosts.admits_origin("null", "localhost")
        (True, False)
        """
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not self.admits(parts.netloc):
            return False
        default = ":443" if parts.scheme == "https" else ":80"
        same = parts.netloc.lower().removesuffix(default) == host.lower().removesuffix(default)
        return same or _name(parts.netloc) in tuple(map(_plain, self.others))


class Guard:
    """An ASGI application that refuses requests before they reach the page.

    Args:
        app: The page.
        hosts: Under which names it may be called.
        room: Where uploads are kept.
        largest: Largest number of bytes of an uploaded file.
        events: By the number of each event of the page, how many values it takes.
    """

    def __init__(
        self, app: App, *, hosts: AllowedHosts, room: UploadRoom, largest: int, events: Mapping[int, int]
    ) -> None:
        self.app, self.hosts, self.room, self.largest, self.events = app, hosts, room, largest, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await _refuse(scope, send, *refused)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 500 and EVENTS.fullmatch(scope["path"]):
                    # Values that no control of the page sends; what fails in this package is shown on the page.
                    message = {**message, "status": 422}
                ours = {name for name, _ in HEADERS}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours]
                message = {**message, "headers": [*kept, *HEADERS]}
            await send(message)

        if not _is_upload(scope):
            if scope["method"] == "POST":
                body = await _body(receive)
                trouble = trouble_in(scope["path"], body, self.events)
                if trouble is not None:
                    await _refuse(scope, send, 400, trouble)
                    return
                receive = _again(body, receive)
            await self.app(scope, receive, send_with_headers)
            return
        size = _length(scope) or 0
        if not self.room.reserve(size):
            await _refuse(scope, send, 429, "there are too many uploads; try again in a minute")
            return
        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            self.room.release(size)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence of a request that is refused."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self.hosts.admits(hosts[0]):
            return 403, "this host is not served here; to serve it, start the page with --allow-host"
        if len(origins) > 1 or not all(self.hosts.admits_origin(origin, hosts[0]) for origin in origins):
            return 403, "requests of other pages are refused"
        raw, path = scope.get("raw_path") or scope["path"].encode(), scope["path"]
        if len(raw) > LONGEST_PATH or len(scope.get("query_string", b"")) > LONGEST_QUERY:
            return 414, "the address is too long"
        query = unquote_to_bytes(scope.get("query_string", b""))
        if any(letter < 32 or letter == 127 for letter in path.encode(errors="replace") + query):
            return 400, "the address has characters that no address has"
        if any(len(name.encode(errors="replace")) > LONGEST_NAME for name in path.split("/")):
            return 404, "there is no such page"
        if is_off(path) or (scope.get("method") not in (*_READING, None) and not POSTED.fullmatch(path)):
            return 404, "there is no such page"
        return self._refused_body(scope)

    def _refused_body(self, scope: Scope) -> tuple[int, str] | None:
        if scope["type"] != "http" or scope["method"] in _READING:
            return None
        size = _length(scope)
        if size is None:
            return 411, "a request with content needs its length"
        if size > MOST_BYTES + (self.largest if _is_upload(scope) else 0):
            return 413, "the request is too large"
        return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    """A host that the user named, as :func:`_name` returns it."""
    return _name(host) or host.strip().lower()


def _name(host: str) -> str | None:
    """A host without its port; None if it is not a host."""
    found = _HOST.fullmatch(host.lower())
    return None if found is None else found[1].strip("[]").rstrip(".") or None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _length(scope: Scope) -> int | None:
    given = _values(scope, b"content-length")
    return int(given[0]) if len(given) == 1 and given[0].isascii() and given[0].isdecimal() else None


def _is_upload(scope: Scope) -> bool:
    return bool(scope["type"] == "http" and scope["method"] == "POST") and str(scope["path"]).rstrip("/").endswith(
        "/upload"
    )


async def _body(receive: Receive) -> bytes:
    """The content of a request, whose length was checked."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A function that gives content that was read already, and then what follows."""
    given = False

    async def read() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})
