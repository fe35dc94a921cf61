"""What the tabs have in common: how events answer, and how they fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import gradio as gr

from maskstack.errors import MaskstackError
from maskstack.web import panels

LOG = logging.getLogger("maskstack.web")

Updates = dict[Any, Any]
"""New values by the part of the page."""

WORK = "network"
"""Events that use a network wait for each other: its state is shared while it is explained."""

_BROKEN = "Something went wrong on this page's side; its log says what. Try again, or another photo."


def key_of(request: gr.Request) -> str:
    """What tells a visitor from all others."""
    return str(request.session_hash)


def guarded(work: Iterator[Updates], status: Any, otherwise: Updates) -> Iterator[Updates]:
    """Updates of an event; one that fails ends with a sentence.

    Args:
        work: Makes the updates.
        status: The part of the page that takes the sentence.
        otherwise: What else the page becomes then.
    """
    try:
        yield from work
    except MaskstackError as error:
        yield otherwise | {status: panels.said(_sentence(error), error=True)}
    except Exception:
        LOG.exception("an event of the page failed")
        yield otherwise | {status: panels.said(_BROKEN, error=True)}


def working_alone(status: Any) -> dict[str, Any]:
    """Settings of an event that uses a network: one at a time, the queue's place shown at the sentence."""
    return {
        "concurrency_id": WORK,
        "concurrency_limit": 1,
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": status,
    }


def _sentence(error: MaskstackError) -> str:
    return f"{' '.join(str(error).split()).rstrip('.')}."
