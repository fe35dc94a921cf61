"""The components of the first tab, and their layout."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from maskstack.explainers.table import METHODS
from maskstack.masks.presets import PRESETS
from maskstack.web import panels
from maskstack.web.answers import photo_control
from maskstack.web.settings import settings_controls

BEGIN = "Choose a photo: upload one, paste one, or pick a sample."

_TOO_SLOW = ("kernelshap", "scorecam", "ablationcam", "rise", "extremal")
"""Methods of many hundred passes, which would make other users wait too long."""


class Layout:
    """The components of the tab, by purpose; they are drawn within the page that is being drawn.

    Args:
        networks: Names of the networks to choose from.
        samples: Names of the sample photos.
    """

    def __init__(self, networks: Sequence[str], samples: Sequence[str]) -> None:
        with gr.Row():
            with gr.Column(min_width=280):
                self._draw_photo_and_network(networks, samples)
            with gr.Column(min_width=280):
                self._draw_class_and_search()
        self.live = gr.HTML("", elem_id="live")
        with gr.Column(visible=False, elem_id="results") as self.found:
            self._draw_results()

    @property
    def shown(self) -> list[gr.components.Component | gr.Column]:
        """The components that a prediction or a search may change."""
        return [
            self.status, self.top, self.search, self.explain, self.stop, self.live, self.found, self.overlay,
            self.masked, self.words, self.masks, self.curves, self.comparison, self.files,
        ]  # fmt: skip

    def _draw_photo_and_network(self, networks: Sequence[str], samples: Sequence[str]) -> None:
        self.photo = photo_control("photo")
        with gr.Row(elem_classes="ms-samples"):
            self.picks = {name: gr.Button(f"Sample: {name}", size="sm", min_width=80) for name in samples}
        self.network = gr.Dropdown(list(networks), value=networks[0], label="Network", elem_id="network")

    def _draw_class_and_search(self) -> None:
        presets = [(f"{name}, {PRESETS[name].passes()[1]} passes", name) for name in ("fast", "default", "fine")]
        self.status = gr.HTML(panels.status_line(BEGIN), elem_id="status")
        self.top = gr.Radio([], label="The five most probable classes", elem_id="top")
        self.search = gr.Dropdown([], value=None, label="Or search for a class by name", elem_id="search")
        self.preset = gr.Radio(presets, value="default", label="How thorough the search is", elem_id="preset")
        with gr.Row():
            self.explain = gr.Button("Explain", variant="primary", interactive=False, min_width=110)
            self.stop = gr.Button("Stop", variant="stop", interactive=False, min_width=110)
        with gr.Accordion("Search settings (an empty field uses the preset's value)", open=False):
            self.settings = settings_controls()

    def _draw_results(self) -> None:
        with gr.Row():
            with gr.Column(min_width=280):
                self.overlay = gr.HTML(elem_id="overlay")
                self.opacity = gr.Slider(
                    0, 1, value=0.35, step=0.05, label="Opacity of the map", elem_id="opacity", buttons=[]
                )
            with gr.Column(min_width=280):
                self.masked = gr.HTML(elem_id="masked")
                self.words = gr.HTML(elem_id="words")
        gr.Markdown("### The mask of each size")
        self.masks = gr.HTML(elem_id="masks")
        gr.Markdown("### Does the prediction depend on the region of this map?")
        self.curves = gr.HTML(elem_id="curves")
        gr.Markdown("### Compare with another method")
        self.other_method = gr.Dropdown(_other_methods(), value="gradcam", label="Method", elem_id="other_method")
        self.compare = gr.Button("Compare")
        self.comparison = gr.HTML(elem_id="comparison")
        gr.Markdown("### Download")
        self.files = gr.HTML(elem_id="files")


def _other_methods() -> list[tuple[str, str]]:
    return [
        (method.about, name) for name, method in METHODS.items() if not name.startswith("mdm") and name not in _TOO_SLOW
    ]
