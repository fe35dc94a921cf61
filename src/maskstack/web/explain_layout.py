"""The components of the first tab, and their layout: one screen, and folds below it."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from maskstack.explainers.table import METHODS
from maskstack.masks.presets import PRESETS
from maskstack.reliability.measure import PASSES
from maskstack.web import panels
from maskstack.web.answers import photo_control
from maskstack.web.settings import settings_controls

BEGIN = "Choose a photo: upload one, paste one, or pick a sample."

OFFERED = ("fast", "default", "fine")
"""The presets that the page offers."""

VIEWS = (
    ("Region", "contour"),
    ("Heat map", "heat"),
    ("Region alone", "masked"),
    ("Original photo", "original"),
    ("Zoom 1:1", "zoom"),
)
"""The views of a result, by their names on the page."""

FILES = (("Overlay (PNG)", "overlay"), ("Figure (PNG)", "figure"), ("Explanation", "explanation"), ("Python", "python"))
"""The files to download, by the names of their buttons."""

MOST_METHODS = 3
"""Largest number of other methods in a comparison."""

_TOO_SLOW = ("kernelshap", "scorecam", "ablationcam", "rise", "extremal")
"""Methods of many hundred passes, which would make other users wait too long."""


class Layout:
    """The components of the tab, by purpose; they are drawn within the page that is being drawn.

    Args:
        networks: Names of the networks to choose from.
        samples: Names of the sample photos.
    """

    def __init__(self, networks: Sequence[str], samples: Sequence[str]) -> None:
        with gr.Row(elem_classes="ms-screen"):
            with gr.Column(min_width=260, scale=3):
                self._draw_photo_and_network(networks, samples)
            with gr.Column(min_width=260, scale=3):
                self._draw_class_and_search()
            with gr.Column(min_width=300, scale=5, elem_id="stage"):
                self._draw_stage()
        with gr.Column(visible=False, elem_id="results") as self.found:
            self._draw_requests()
        with gr.Accordion("Explanations of this visit", open=False, visible=False, elem_id="visit") as self.visit:
            self.history_style = gr.HTML(elem_classes="ms-style")
            self.history = gr.Radio([], label="Show one of them again", elem_id="history")
        with gr.Accordion("Search settings (an empty field uses the preset's value)", open=False):
            self.settings = settings_controls()
        with gr.Accordion("Open a saved explanation", open=False, elem_id="open-saved"):
            gr.HTML("<p>A file <code>.safetensors</code> that this page or <code>maskstack explain</code> wrote.</p>")
            self.saved = gr.File(
                label="Explanation file", type="filepath", file_types=[".safetensors"], height=120, elem_id="saved"
            )
        with gr.Accordion("What the words mean", open=False, elem_id="words-help"):
            gr.HTML(panels.glossary())

    @property
    def shown(self) -> list[gr.components.Component | gr.Column | gr.Accordion]:
        """The components that a prediction or a search may change."""
        return [
            self.status, self.photo_style, self.bars, self.top, self.search, self.preset, self.explain, self.stop,
            self.live, self.found, self.result, self.overlay, self.view, self.words, self.masks, self.curves,
            self.comparison, self.files, self.visit, self.history, self.history_style,
        ]  # fmt: skip

    def _draw_photo_and_network(self, networks: Sequence[str], samples: Sequence[str]) -> None:
        self.photo = photo_control("photo")
        self.photo_style = gr.HTML(elem_classes="ms-style")
        # The control above takes only what browsers know as pictures.
        self.medical = gr.UploadButton("Upload DICOM, NIfTI or another file", size="sm", elem_id="medical")
        with gr.Row(elem_classes="ms-samples"):
            self.picks = {
                name: gr.Button(f"Sample: {name}", size="sm", min_width=60, elem_id=f"sample-{name}")
                for name in samples
            }
        self.network = gr.Dropdown(list(networks), value=networks[0], label="Network", elem_id="network")

    def _draw_class_and_search(self) -> None:
        self.bars = gr.HTML(elem_classes="ms-style")
        self.top = gr.Radio([], label="Class to explain: the five most probable", elem_id="top")
        self.search = gr.Dropdown(
            [], value=None, label="Or search for a class by name", elem_id="search", interactive=False
        )
        presets = [(f"{name}, at most {panels.passes(*most_passes(name))}", name) for name in OFFERED]
        self.preset = gr.Radio(presets, value="default", label="How thorough the search is", elem_id="preset")
        with gr.Row(elem_classes="ms-buttons"):
            self.explain = gr.Button("Explain", variant="primary", interactive=False, min_width=100)
            self.stop = gr.Button("Stop", variant="stop", interactive=False, min_width=100)

    def _draw_stage(self) -> None:
        self.status = gr.HTML(panels.status_line(BEGIN), elem_id="status")
        self.live = gr.HTML("", elem_id="live")
        with gr.Column(visible=False, elem_id="result") as self.result:
            self.words = gr.HTML(elem_id="words")
            self.overlay = gr.HTML(elem_id="overlay")
            self.view = gr.Radio(list(VIEWS), value="contour", label="View", elem_id="view", show_label=False)
            self.opacity = gr.Slider(
                0, 1, value=0.35, step=0.05, label="Opacity of the colours", elem_id="opacity", buttons=[]
            )

    def _draw_requests(self) -> None:
        gr.HTML('<h2 class="ms-head">More about this map</h2>')
        with gr.Row(elem_classes="ms-requests"):
            self.want_curves = gr.Button("Measure its curves", size="sm")
            self.want_masks = gr.Button("Show the mask of each size", size="sm")
            self.wants = {kind: gr.Button(words, size="sm", elem_id=f"want-{kind}") for words, kind in FILES}
        self.files = gr.HTML(elem_id="files")
        self.curves = gr.HTML(elem_id="curves")
        self.masks = gr.HTML(elem_id="masks")
        with gr.Row(equal_height=False, elem_classes="ms-compare"):
            self.other_methods = gr.Dropdown(
                _other_methods(), value=["gradcam"], multiselect=True, max_choices=MOST_METHODS,
                label=f"Compare with up to {MOST_METHODS} other methods", elem_id="other_methods", scale=4,
            )  # fmt: skip
            self.compare = gr.Button("Compare", min_width=100, scale=1)
        self.comparison = gr.HTML(elem_id="comparison")


def most_passes(preset: str) -> tuple[int, int]:
    """Maximum numbers of forward and backward passes of a search, with the prediction before it and the verdict."""
    forward, backward = PRESETS[preset].passes()
    return forward + 1 + PASSES, backward


def _other_methods() -> list[tuple[str, str]]:
    return [
        (method.about, name) for name, method in METHODS.items() if not name.startswith("mdm") and name not in _TOO_SLOW
    ]
