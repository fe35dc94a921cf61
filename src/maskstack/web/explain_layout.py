"""The components of the first tab, and their layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from maskstack.explainers.table import METHODS
from maskstack.masks.presets import PRESETS
from maskstack.web import panels
from maskstack.web.settings import settings_controls

BEGIN = "Choose a photo: upload one, paste one, or pick a sample."

_TOO_SLOW = ("kernelshap", "scorecam", "ablationcam", "rise", "extremal")
"""Methods of many hundred passes, which would make other users wait too long."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The components of the tab, by purpose."""

    photo: gr.Image
    picks: Mapping[str, gr.Button]
    network: gr.Dropdown
    status: gr.HTML
    top: gr.Radio
    search: gr.Dropdown
    preset: gr.Radio
    settings: Sequence[gr.components.Component]
    explain: gr.Button
    stop: gr.Button
    live: gr.HTML
    found: gr.Column
    overlay: gr.HTML
    opacity: gr.Slider
    masked: gr.HTML
    words: gr.HTML
    masks: gr.HTML
    curves: gr.HTML
    other_method: gr.Dropdown
    compare: gr.Button
    comparison: gr.HTML
    files: gr.HTML

    @property
    def shown(self) -> list[gr.components.Component | gr.Column]:
        """The components that a prediction or a search may change."""
        return [
            self.status, self.top, self.search, self.explain, self.stop, self.live, self.found, self.overlay,
            self.masked, self.words, self.masks, self.curves, self.comparison, self.files,
        ]  # fmt: skip


def draw_layout(networks: Sequence[str], samples: Sequence[str]) -> Layout:
    """Draw the tab within the page that is being drawn.

    Args:
        networks: Names of the networks to choose from.
        samples: Names of the sample photos.
    """
    parts: dict[str, object] = {}
    with gr.Row():
        with gr.Column(min_width=280):
            parts |= _photo_and_network(networks, samples)
        with gr.Column(min_width=280):
            parts |= _class_and_search()
    parts["live"] = gr.HTML("", elem_id="live")
    with gr.Column(visible=False, elem_id="results") as found:
        parts |= _results()
    return Layout(found=found, **parts)  # type: ignore[arg-type]


def _photo_and_network(networks: Sequence[str], samples: Sequence[str]) -> dict[str, object]:
    photo = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label="Photo",
        height=280,
        elem_id="photo",
        buttons=[],
    )
    with gr.Row(elem_classes="ms-samples"):
        picks = {name: gr.Button(f"Sample: {name}", size="sm", min_width=80) for name in samples}
    network = gr.Dropdown(list(networks), value=networks[0], label="Network", elem_id="network")
    return {"photo": photo, "picks": picks, "network": network}


def _class_and_search() -> dict[str, object]:
    presets = [(f"{name}, {PRESETS[name].steps} steps", name) for name in ("fast", "default", "fine")]
    parts: dict[str, object] = {
        "status": gr.HTML(panels.status_line(BEGIN), elem_id="status"),
        "top": gr.Radio([], label="The five most probable classes", elem_id="top"),
        "search": gr.Dropdown([], value=None, label="Or search for a class by name", elem_id="search"),
        "preset": gr.Radio(presets, value="default", label="How thorough the search is", elem_id="preset"),
    }
    with gr.Row():
        parts["explain"] = gr.Button("Explain", variant="primary", interactive=False, min_width=110)
        parts["stop"] = gr.Button("Stop", variant="stop", interactive=False, min_width=110)
    with gr.Accordion("Search settings (an empty field uses the preset's value)", open=False):
        parts["settings"] = settings_controls()
    return parts


def _results() -> dict[str, object]:
    parts: dict[str, object] = {}
    with gr.Row():
        with gr.Column(min_width=280):
            parts["overlay"] = gr.HTML(elem_id="overlay")
            parts["opacity"] = gr.Slider(
                0, 1, value=0.85, step=0.05, label="Opacity of the map", elem_id="opacity", buttons=[]
            )
        with gr.Column(min_width=280):
            parts["masked"] = gr.HTML(elem_id="masked")
            parts["words"] = gr.HTML(elem_id="words")
    gr.Markdown("### The mask of each size")
    parts["masks"] = gr.HTML(elem_id="masks")
    gr.Markdown("### Does the prediction depend on the region of this map?")
    parts["curves"] = gr.HTML(elem_id="curves")
    gr.Markdown("### Compare with another method")
    parts["other_method"] = gr.Dropdown(_other_methods(), value="gradcam", label="Method", elem_id="other_method")
    parts["compare"] = gr.Button("Compare")
    parts["comparison"] = gr.HTML(elem_id="comparison")
    gr.Markdown("### Download")
    parts["files"] = gr.HTML(elem_id="files")
    return parts


def _other_methods() -> list[tuple[str, str]]:
    return [
        (method.about, name) for name, method in METHODS.items() if not name.startswith("mdm") and name not in _TOO_SLOW
    ]
