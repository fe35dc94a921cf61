"""Errors that requests cause within Gradio: one line in the log each, because nothing of this package failed."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from pathlib import Path

from maskstack.errors import reason

LOG = logging.getLogger("maskstack.web")

_HERE = str(Path(__file__).parents[1])


class _Traceback:
    """Stands for the module ``traceback`` within Gradio, which uses nothing else of it."""

    @staticmethod
    def print_exc() -> None:
        """Print the traceback of an error of this package; of an error of Gradio, say what it was."""
        error = sys.exception()
        if error is None or any(
            frame.f_code.co_filename.startswith(_HERE) for frame, _ in traceback.walk_tb(error.__traceback__)
        ):
            traceback.print_exc()
        else:
            LOG.warning("a request had values that the page does not send (%s)", reason(error))


def say_strange_requests() -> None:
    """From now on, Gradio prints no traceback where it only could not read the values of a request."""
    for name in ("gradio.routes", "gradio.queueing"):
        module = importlib.import_module(name)
        if getattr(module, "traceback", None) is traceback:
            setattr(module, "traceback", _Traceback)  # noqa: B010
