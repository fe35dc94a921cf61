"""The settings of a search as controls of the page, one for each field of ``SearchSettings``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from maskstack.jobs.options import SearchOption, read_settings, search_options


def settings_controls() -> list[gr.components.Component]:
    """Draw a control for each setting. It is empty, which means the preset's value, and shows the default."""
    return [_control(option) for option in search_options().values()]


def filled_in(values: Sequence[Any]) -> dict[str, Any]:
    """The settings that were filled in.

    Args:
        values: Values of the controls, in their order.

    Raises:
        InputError: Grid sizes are not whole numbers.
    """
    given = dict(zip(search_options(), values, strict=True))
    return read_settings({name: value for name, value in given.items() if value not in (None, "", [])})


def _control(option: SearchOption) -> gr.components.Component:
    default = option.text(option.default)
    shared: dict[str, Any] = {
        "label": option.name.replace("_", " ").capitalize(),
        "info": f"{option.help} Default: {default}.",
        "elem_id": f"setting-{option.name}",
    }
    # Text for numbers too: a number control turns an empty field into 0.
    if option.kind in ("whole", "real", "sizes"):
        return gr.Textbox(value="", placeholder=default, **shared)
    choices = ["yes", "no"] if option.kind == "flag" else list(option.choices)
    # The empty choice clears the control.
    several = option.kind == "choices"
    return gr.Dropdown(
        choices if several else ["", *choices], value=[] if several else "", multiselect=several, **shared
    )
