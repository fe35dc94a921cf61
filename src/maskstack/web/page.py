"""The page: its tabs, its look, and what it forgets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gradio as gr

from maskstack.web.explain_tab import ExplainTab
from maskstack.web.networks import Networks
from maskstack.web.prototypes_tab import PrototypesTab
from maskstack.web.visits import Visits

STYLE = Path(__file__).with_name("page.css")

_HEAD = """\
# maskstack
Which region of a photo made a network answer as it did? Masks are learned that hide as much as they can while the
answer stays. Photos stay on this machine and are removed when you leave.
"""


def build_page(
    networks: Networks,
    visits: Visits,
    *,
    root: Path,
    samples: Mapping[str, Path],
    prototypes: Mapping[str, Path],
    max_pixels: int,
) -> gr.Blocks:
    """The page, not yet served.

    Args:
        networks: That may be chosen.
        visits: What is remembered of each visitor.
        root: The server's own folder, in which uploads lie.
        samples: Photos to pick, by name.
        prototypes: Checkpoints of prototype networks, by name.
        max_pixels: Of a photo.
    """
    # The backstop for browsers that never say goodbye: every hour, what is two hours old.
    page = gr.Blocks(title="maskstack", analytics_enabled=False, delete_cache=(3600, 7200))
    with page:
        gr.Markdown(_HEAD)
        with gr.Tab("Explain a photo"):
            ExplainTab(networks, visits, samples=samples, root=root, max_pixels=max_pixels)
        with gr.Tab("This looks like that"):
            PrototypesTab(prototypes, visits, root=root, max_pixels=max_pixels)

        def leave(request: gr.Request) -> None:
            visits.end(str(request.session_hash))

        page.unload(leave)
    return page


def theme() -> gr.themes.Base:
    """Fonts of the visitor's own machine: the page asks no other server for anything."""
    return gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
