"""The second tab: a prototype network, and the prototypes that contributed to its prediction for a photo."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.masks.result import OnProgress, Progress
from maskstack.web import panels
from maskstack.web.answers import QUICK, Updates, guarded, key_of, photo_control, working_alone
from maskstack.web.live import live
from maskstack.web.panels import Picture
from maskstack.web.reading import browser_draws, in_control
from maskstack.web.sessions import Sessions
from maskstack.web.uploads import Upload

METHODS = ("mdm", "mdm:preset=fast", "native", "smoothgrad")
NONE = (
    "To see which training images a prototype network compares a photo with, train one with "
    "`maskstack prototypes train` and start the page with `maskstack app --prototypes CHECKPOINT`."
)
"""What the page says where no prototype network is offered."""


class PrototypesTab:
    """Draws the tab within the page that is being built, and handles its events.

    Args:
        checkpoints: Folders of trained networks, by name.
        sessions: The sessions of the users.
        root: The server's own folder of uploads.
        max_pixels: Maximum number of pixels of a photo.
        allow_code: Whether a checkpoint may name code as its backbone.
    """

    def __init__(
        self,
        checkpoints: Mapping[str, Path],
        sessions: Sessions,
        *,
        root: Path,
        max_pixels: int,
        allow_code: bool = False,
    ) -> None:
        self.allow_code = allow_code
        self.checkpoints, self.sessions, self.root, self.max_pixels = dict(checkpoints), sessions, root, max_pixels
        self._load = functools.lru_cache(maxsize=2)(self._open)
        self._draw()

    def _draw(self) -> None:
        names = list(self.checkpoints)
        with gr.Row():
            with gr.Column(min_width=280):
                self.photo = photo_control("prototypes-photo")
                self.photo_style = gr.HTML(elem_classes="ms-style")
            with gr.Column(min_width=280):
                self.network = gr.Dropdown(names, value=names[0], label="Prototype network")
                self.method = gr.Dropdown(METHODS, value=METHODS[0], label="Method that finds the regions")
                self.count = gr.Slider(1, 5, value=3, step=1, label="Number of prototypes")
                self.explain = gr.Button("Explain by prototypes", variant="primary")
                self.status = gr.HTML(panels.status_line("Choose a photo, then press the button."))
        self.page = gr.HTML(elem_id="prototypes-page")
        # Remembered at once, so that it is removed with its session even if the button is never pressed.
        self.photo.change(self.on_photo, self.photo, self.photo_style, preprocess=False, **QUICK)
        self.explain.click(
            self.on_explain,
            [self.photo, self.network, self.method, self.count],
            [self.status, self.page],
            preprocess=False,
            **working_alone(self.status),
        )

    def on_photo(self, payload: Any, request: gr.Request) -> str:
        """A photo was chosen: remember it, and draw it if the browser cannot."""
        with contextlib.suppress(InputError):  # reported when the button is pressed
            upload = Upload.of(payload, self.root)
            if upload is not None:
                self.sessions.keep_upload(key_of(request), upload.path, tab="prototypes")
                drawn = browser_draws(upload.path)
                photo = None if drawn else upload.open(max_pixels=self.max_pixels)
                return in_control("#prototypes-photo", upload.path, photo)
        return ""

    def on_explain(
        self, payload: Any, network: str, method: str, count: float, request: gr.Request
    ) -> Iterator[Updates]:
        """Explain the photo; a sentence is shown at once, and then the progress."""
        yield {self.status: panels.status_line("Explaining by prototypes."), self.page: ""}
        ended = self.sessions.of(key_of(request)).ended
        yield from guarded(self._explain(payload, network, method, int(count), ended), self.status, {})

    def _explain(
        self, payload: Any, network: str, method: str, count: int, ended: threading.Event
    ) -> Iterator[Updates]:
        from maskstack.prototypes.explaining import Answer, answer

        if network not in self.checkpoints or method not in METHODS or not 1 <= count <= 5:
            raise InputError("this choice is not offered here; choose from the lists")
        upload = Upload.of(payload, self.root)
        if upload is None:
            raise InputError("there is no photo yet; choose one first")
        photo = upload.open(max_pixels=self.max_pixels)
        prototypes = self._load(network)
        tensor = prototypes.model.preprocess(photo)
        seconds = _expected(prototypes.network, tensor, method, count)
        yield {self.status: panels.status_line(f"Explaining by prototypes: about {max(round(seconds), 1)} s.")}

        def work(tell: OnProgress) -> Answer:
            def progress(state: Progress) -> None:
                if not tell(state):
                    raise InputError("the visit has ended")

            return answer(prototypes, tensor, top=count, method=method, progress=progress)

        # In the thread of all searches, for which a server that ends waits.
        search = live(work, ended)
        try:
            part, last, begun = 0, 0, time.perf_counter()
            while True:
                snapshot = next(search)
                part, last = part + (snapshot.step < last), snapshot.step
                done, steps = part * snapshot.steps + snapshot.step, 2 * snapshot.steps
                left = (time.perf_counter() - begun) / done * (steps - done)
                place = "the training images" if part else "the photo"
                sentence = f"Searching in {place}: step {done} of {steps}, at most about {left:.0f} s left."
                yield {self.status: panels.progress(done, steps, sentence)}
        except StopIteration as end:
            found = end.value
        finally:
            search.close()
        title = f"{upload.name}: {found.name}, {found.probability:.0%}"
        figure = found.figure(prototypes.model.picture(tensor), title=title, method=method)
        each = (
            f"prototype {one.prototype} adds {one.contribution:.2f}, from {one.source}"
            + "".join(f" (no region{place}: {problem})" for place, problem in one.problems)
            + "".join(f" (map{place}: {doubt.rstrip('.')})" for place, doubt in one.doubts)
            for one in found.evidence
        )
        alt = f"regions of {len(found.evidence)} prototypes, in this photo and in the training images they come from"
        drawn = Picture(panels.webp_of_figure(figure), alt, "; ".join(each))
        yield {
            self.status: panels.status_line(
                f"The network gives {found.name} a probability of {found.probability:.0%}."
            ),
            self.page: panels.pictures([drawn], wide=True),
        }

    def _open(self, name: str) -> Any:
        from maskstack.prototypes.checkpoint import load

        return load(self.checkpoints[name], allow_code=self.allow_code)


def _expected(network: Any, image: Tensor, method: str, count: int) -> float:
    """Seconds that the searches are expected to take, in the photo and in the prototypes' training images."""
    from maskstack.prototypes.search import finder

    with torch.no_grad():
        for _ in range(2):  # the first pass of a network is slower
            before = time.perf_counter()
            network(image.unsqueeze(0))
            seconds = time.perf_counter() - before
    cost = finder(network, method).cost(2 * count)
    return seconds * (cost["forward"] + 2 * cost["backward"])
