"""What the tabs share: how events update the page, and how they report errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import gradio as gr

from maskstack.errors import MaskstackError
from maskstack.web import panels

LOG = logging.getLogger("maskstack.web")

Updates = dict[Any, Any]
"""New values of components of the page."""

WORK = "network"
"""Name of the queue of events that use a network: they run one at a time, because they share its state."""

_BROKEN = "The server failed; its log has the details. Try again, or try another photo."


QUICK: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
"""Options of an event that uses no network: it does not wait for others."""


def key_of(request: gr.Request) -> str:
    """The key of the user's session."""
    return str(request.session_hash)


def guarded(work: Iterator[Updates], status: Any, otherwise: Updates) -> Iterator[Updates]:
    """Yield the updates of an event; show an error as a sentence.

    Gradio sends the last updates twice, so the last ones change nothing.

    Args:
        work: Yields the updates.
        status: The component that shows the sentence.
        otherwise: Other updates after an error.
    """
    try:
        yield from work
    except MaskstackError as error:
        yield otherwise | {status: panels.status_line(sentence_of(error), error=True)}
    except Exception:
        LOG.exception("an event of the page failed")
        yield otherwise | {status: panels.status_line(_BROKEN, error=True)}
    yield {status: gr.skip()}


def working_alone(status: Any) -> dict[str, Any]:
    """Options of an event that uses a network: one runs at a time, and the status shows the place in the queue."""
    return {
        "concurrency_id": WORK,
        "concurrency_limit": 1,
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": status,
    }


def photo_control(elem_id: str) -> gr.Image:
    """The control that takes a photo, as a file that the server has not read."""
    return gr.Image(
        type="filepath", image_mode=None, sources=["upload", "clipboard"], label="Photo", height=230, elem_id=elem_id,
        buttons=[],
    )  # fmt: skip


def sentence_of(error: MaskstackError) -> str:
    """An error message as one sentence."""
    return f"{' '.join(str(error).split()).rstrip('.')}."
