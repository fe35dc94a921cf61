"""Docstrings name other objects by Sphinx's roles, which readers of the code know; the site shows them as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|data|mod|attr):`~?([^`]+)`")
_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


class Roles(griffe.Extension):
    """Turns roles into code, and examples in the middle of the text into blocks of it."""

    def on_instance(self, *, obj: griffe.Object, **_kwargs: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring:
            text = _ROLE.sub(lambda role: f"`{role[1].removeprefix('maskstack.')}`", obj.docstring.value)
            obj.docstring.value = _EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", text)
