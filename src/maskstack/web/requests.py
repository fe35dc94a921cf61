"""What a request to the page may hold: only what the page's own script sends."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from maskstack.errors import WRONG_VALUE

POSTED = re.compile(r"/gradio_api/(queue/join|run/\w{1,60}|cancel|reset|upload)/?", re.ASCII)
"""The only addresses that take content: the page's events, their end, and uploads."""

EVENTS = re.compile(r"/gradio_api/(queue/join|run/\w{1,60})/?", re.ASCII)
"""The addresses of the page's events."""

_OFF = re.compile(
    r"(/gradio_api)?/+(monitoring|docs|redoc|openapi\.json|runs|run-history|profiling|dev|deep_link|vibe-code|"
    r"custom_component|stream|call|mcp|user|token|login|logout|login_check|pwa_icon)([/?].*)?|(/gradio_api)?/+proxy=.*"
)
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEEPEST, _LARGEST = 30, 2**53


def is_off(path: str) -> bool:
    """Whether an address of Gradio is not served, as the page does not use it.

    >>> is_off("/monitoring/summary"), is_off("/gradio_api/proxy=http://example.org"), is_off("/assets/index.js")
    (True, True, False)
    """
    return _OFF.fullmatch(path.rstrip("/")) is not None


def trouble_in(path: str, body: bytes, events: Mapping[int, int]) -> str | None:
    """What is wrong with the content of a request that is not an upload, in a sentence; None if it can be used.

    Args:
        path: The request's address.
        body: Its content.
        events: By the number of each event of the page, how many values it takes.
    """
    try:
        held = json.loads(body, parse_constant=float)
    except WRONG_VALUE:
        return "the request's content is not JSON"
    if not isinstance(held, dict) or not _is_plain(held):
        return "the request's content is not what the page sends"
    if not EVENTS.fullmatch(path):
        return None
    session = held.get("session_hash")
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        return "the request names no session"
    number, data = held.get("fn_index"), held.get("data")
    if type(number) is not int or number not in events:
        return "the page has no such event"
    if not isinstance(data, list) or len(data) != events[number]:
        return "the event takes another number of values"
    return None


def _is_plain(value: Any) -> bool:
    """Whether a JSON value is not nested deeply, and has only finite numbers of usual size and valid text."""
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if depth > _DEEPEST:
            return False
        if isinstance(each, dict):
            waiting += [(part, depth + 1) for pair in each.items() for part in pair]
        elif isinstance(each, list):
            waiting += [(part, depth + 1) for part in each]
        elif (isinstance(each, str) and not _is_text(each)) or (
            isinstance(each, int | float) and not abs(each) <= _LARGEST
        ):
            return False
    return True


def _is_text(text: str) -> bool:
    """Whether a text has no NUL and no half of a character."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
