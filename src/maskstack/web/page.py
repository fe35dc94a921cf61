"""The page: its tabs, its style, and the end of a session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gradio as gr
from PIL import Image

from maskstack.draw.pictures import thumbnail_uri
from maskstack.web.explain_tab import ExplainTab
from maskstack.web.networks import Networks
from maskstack.web.prototypes_tab import NONE, PrototypesTab
from maskstack.web.sessions import Sessions

STYLE = Path(__file__).with_name("page.css")

_HEAD = """\
<h1>maskstack</h1>
<p>Which region of a photo made a network predict a class? Photos stay on the machine that serves this page, and are
deleted when you close it.</p>
"""

_DARK = "() => { document.body.classList.toggle('dark'); }"

_HEIGHT = 96
"""Largest number of pixels of a side of a sample's thumbnail."""


def build_page(
    networks: Networks,
    sessions: Sessions,
    *,
    root: Path,
    samples: Mapping[str, Path],
    prototypes: Mapping[str, Path],
    max_pixels: int,
    allow_code: bool = False,
) -> gr.Blocks:
    """Build the page, without serving it.

    Args:
        networks: The networks to choose from.
        sessions: The sessions of the users.
        root: The server's own folder of uploads.
        samples: Sample photos by name.
        prototypes: Checkpoints of prototype networks, by name.
        max_pixels: Maximum number of pixels of a photo.
        allow_code: Whether a checkpoint may name code as its backbone.
    """
    # For browsers that do not report the end of a session: every hour, files older than two hours are deleted.
    page = gr.Blocks(title="maskstack", analytics_enabled=False, delete_cache=(3600, 7200))
    with page:
        with gr.Row(elem_classes="ms-title"):
            gr.HTML(_HEAD)
            dark = gr.Button("Dark or light", size="sm", min_width=90, scale=0, elem_id="dark")
        dark.click(None, None, None, js=_DARK)
        if prototypes:
            with gr.Tab("Explain a photo"):
                ExplainTab(networks, sessions, samples=samples, root=root, max_pixels=max_pixels)
            with gr.Tab("This looks like that"):
                PrototypesTab(prototypes, sessions, root=root, max_pixels=max_pixels, allow_code=allow_code)
        else:
            ExplainTab(networks, sessions, samples=samples, root=root, max_pixels=max_pixels)
            gr.Markdown(NONE, elem_id="no-prototypes")

        def leave(request: gr.Request) -> None:
            sessions.end(str(request.session_hash))

        page.unload(leave)
    return page


def theme() -> gr.themes.Base:
    """A theme with the fonts of the user's machine, so that the page loads nothing from another server."""
    return gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def sample_style(samples: Mapping[str, Path]) -> str:
    """A style that draws each sample photo on its button.

    Args:
        samples: Sample photos by name.
    """
    rules = []
    for name, path in samples.items():
        with Image.open(path) as photo:
            uri = thumbnail_uri(photo.convert("RGB"), _HEIGHT)
        rules.append(f'#sample-{name} {{ background-image: url("{uri}"); }}')
    return "\n".join(rules)
