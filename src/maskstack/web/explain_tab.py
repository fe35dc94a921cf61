"""The first tab: a photo, a network, a class, and what the network looks at."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.scoring.predict import class_probabilities
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.web import panels, results
from maskstack.web.answers import Updates, guarded, key_of, working_alone
from maskstack.web.explain_layout import BEGIN, draw_layout
from maskstack.web.judging import curves
from maskstack.web.live import live
from maskstack.web.networks import Networks
from maskstack.web.uploads import Upload
from maskstack.web.visits import Look, Visit, Visits

DEAREST_RIVAL = 700
"""Passes; dearer methods would hold up everybody else."""


class ExplainTab:
    """Lays the tab out within the page that is being drawn, and answers its events.

    Args:
        networks: That may be chosen.
        visits: What is remembered of each visitor.
        samples: Photos to pick, by name.
        root: The server's own folder, in which uploads lie.
        max_pixels: Of a photo.
        every: Seconds between two looks at a search.
    """

    def __init__(
        self,
        networks: Networks,
        visits: Visits,
        *,
        samples: Mapping[str, Path],
        root: Path,
        max_pixels: int,
        every: float = 0.5,
    ) -> None:
        self.networks, self.visits, self.samples, self.root = networks, visits, samples, root
        self.max_pixels, self.every = max_pixels, every
        self.at = draw_layout(list(networks.offers), list(samples))
        self._connect()

    def _connect(self) -> None:
        at, work = self.at, working_alone(self.at.status)
        quick: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        for name, button in at.picks.items():
            button.click(functools.partial(str, self.samples[name]), None, at.photo, **quick)
        changes = [at.photo.change, at.network.change]
        gr.on(changes, self.on_change, [at.photo, at.network], None, preprocess=False, **quick)
        # What was uploaded is looked at here, not by Gradio, whose words for what is no picture help nobody.
        gr.on(changes, self.on_look, [at.photo, at.network], [at.photo, *at.shown], preprocess=False, **work)
        # One of the two names the class: choosing in one empties the other, in the browser.
        at.top.input(None, None, at.search, js="() => null")
        at.search.input(None, None, at.top, js="() => null")
        at.explain.click(self.on_explain, [at.top, at.search, at.preset, at.opacity], at.shown, **work)
        at.stop.click(self.on_stop, None, None, **quick)
        at.opacity.change(self.on_opacity, at.opacity, [at.overlay, at.files], **quick)
        at.compare.click(self.on_compare, [at.rival, at.opacity], [at.status, at.comparison, at.curves], **work)

    def on_change(self, payload: Any, network: str, request: gr.Request) -> None:
        """A photo or a network was chosen: end what goes on, and remember the file at once, to be removed."""
        key = key_of(request)
        visit = self.visits.of(key)
        visit.stop.set()
        visit.shown = (None, network)
        with contextlib.suppress(InputError):  # on_look says what is wrong with it
            upload = Upload.of(payload, self.root)
            if upload is not None:
                visit.shown = (upload.path, network)
                if upload.path not in [sample.resolve() for sample in self.samples.values()]:
                    self.visits.keep_upload(key, upload.path)

    def on_look(self, payload: Any, network: str, request: gr.Request) -> Iterator[Updates]:
        """A photo or a network was chosen: say what the network takes the photo for."""
        if self.visits.has_left(key_of(request)):
            return
        visit = self.visits.of(key_of(request))
        visit.look = None
        visit.forget_results()
        if not payload and visit.refused:  # The sentence that says why stays.
            visit.refused = False
            yield {self.at.photo: gr.skip()}
            return
        work = self._look(visit, payload, network)
        yield from guarded(work, self.at.status, self._blank())

    def _look(self, visit: Visit, payload: Any, network: str) -> Iterator[Updates]:
        upload = Upload.of(payload, self.root)
        if upload is None:
            yield self._blank() | {self.at.status: panels.said(BEGIN)}
            return
        try:
            photo = upload.open(max_pixels=self.max_pixels)
        except InputError:
            visit.refused = True
            yield {self.at.photo: None}
            raise
        net = self.networks.get(network)
        tensor = net.preprocess(photo).to(self.networks.device)
        scores = class_probabilities(net, tensor.unsqueeze(0))[0].cpu()
        look = visit.look = Look(upload.name, upload.path, network, net, tensor, scores)
        best = scores.topk(min(5, len(scores)))
        top = [
            (f"{results.class_name(look, index)} {share:.1%}", str(index))
            for share, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        every = [(results.class_name(look, index), str(index)) for index in range(len(scores))]
        sentence = f"{network} says {top[0][0]}. Choose what to look for, then press Explain."
        yield self._blank() | {
            self.at.status: panels.said(sentence),
            self.at.top: gr.Radio(top, value=top[0][1]),
            self.at.search: gr.Dropdown(every, value=None),
            self.at.explain: gr.Button(interactive=True),
        }

    def on_explain(
        self, top: str | None, search: str | None, preset: str, opacity: float, request: gr.Request
    ) -> Iterator[Updates]:
        """The search: what it has so far, twice a second, and then everything."""
        visit = self.visits.of(key_of(request))
        ready = self._ready() | {self.at.live: ""}
        yield from guarded(self._explain(visit, search or top, preset, opacity), self.at.status, ready)

    def _explain(self, visit: Visit, wanted: str | None, preset: str, opacity: float) -> Iterator[Updates]:
        look = visit.look
        if look is None or wanted is None:
            raise InputError("there is no photo or no class yet; choose both first")
        if visit.shown not in (None, (look.path, look.model)):
            raise InputError("the photo or the network was changed meanwhile; press Explain for the new one")
        target = int(wanted)
        visit.forget_results()
        visit.stop.clear()
        mdm = MDM(look.net, preset=preset)
        passes = mdm.cost(1)
        begin = f"Looking for {results.class_name(look, target)}: at most {passes['forward']} passes."
        yield {
            self.at.status: panels.said(begin),
            self.at.found: gr.Column(visible=False),
            self.at.explain: gr.Button(interactive=False),
            self.at.stop: gr.Button(interactive=True),
            self.at.live: "",
        }
        images = look.tensor.unsqueeze(0)
        search = live(lambda tell: mdm(images, target, progress=tell), visit.stop, every=self.every)
        whole = float(look.scores[target])
        try:
            while True:
                snapshot = next(search)
                bar, shown = results.working(look, target, snapshot, whole, "probability")
                yield {self.at.status: bar, self.at.live: shown}
        except StopIteration as end:
            found = end.value
        finally:
            search.close()
        stopped = visit.stop.is_set()
        measuring = "Measuring how faithful the map is."
        yield {self.at.status: panels.said(measuring), self.at.stop: gr.Button(interactive=False)}
        visit.found, visit.preset = found, preset
        visit.curves = {"MDM": curves(look.net, look.tensor, found.saliency[0, 0], target)}
        yield self._results(visit, look, opacity, stopped=stopped)

    def _results(self, visit: Visit, look: Look, opacity: float, *, stopped: bool) -> Updates:
        found = visit.found
        assert found is not None
        before, kept = float(found.score_before[0]), float(found.score_under_stack[0])
        name = results.class_name(look, found.target[0] if found.target else 0)
        done = "Stopped" if stopped else "Done"
        sentence = (
            f"{done}: {float(found.area[0]):.0%} of the photo keep {name} at {kept:.0%} (whole photo {before:.0%})."
        )
        visit.stopped = stopped
        return self._ready() | {
            self.at.status: panels.said(sentence),
            self.at.live: "",
            self.at.found: gr.Column(visible=True),
            self.at.overlay: results.overlay_panel(look, found, opacity),
            self.at.masked: results.masked_panel(look, found),
            self.at.words: results.words_panel(look, found, stopped=stopped),
            self.at.masks: results.masks_panel(found),
            self.at.curves: results.curves_panel(visit.curves),
            self.at.comparison: "",
            self.at.files: self._files(visit, look, opacity),
        }

    def _files(self, visit: Visit, look: Look, opacity: float) -> str:
        assert visit.found is not None
        spec = self.networks.offers[look.model]
        return results.files_panel(
            look, visit.found, preset=visit.preset, spec=spec, opacity=opacity, stopped=visit.stopped
        )

    def on_stop(self, request: gr.Request) -> None:
        """End the search that is going on; what it found stays."""
        self.visits.of(key_of(request)).stop.set()

    def on_opacity(self, opacity: float, request: gr.Request) -> Updates:
        """Draw the overlay anew."""
        visit = self.visits.of(key_of(request))
        look, found = visit.look, visit.found
        if look is None or found is None:
            return {self.at.overlay: gr.skip()}
        return {
            self.at.overlay: results.overlay_panel(look, found, opacity),
            self.at.files: self._files(visit, look, opacity),
        }

    def on_compare(self, method: str, opacity: float, request: gr.Request) -> Iterator[Updates]:
        """Explain the same class by another method, and judge both alike."""
        visit = self.visits.of(key_of(request))
        yield from guarded(self._compare(visit, method, opacity), self.at.status, {})

    def _compare(self, visit: Visit, method: str, opacity: float) -> Iterator[Updates]:
        look, found = visit.look, visit.found
        if look is None or found is None or not found.target:
            raise InputError("there is no map to compare with yet; press Explain first")
        if method not in METHODS:
            raise InputError("this method is not offered here; choose one of the list")
        target = found.target[0]
        explainer = make_explainer(method, look.net)
        if sum(explainer.cost(1).values()) > DEAREST_RIVAL:
            raise InputError(f"{method} takes too many passes for a page; use maskstack bench for it")
        name = METHODS[method].about.partition(" (")[0]
        yield {self.at.status: panels.said(f"Explaining the same by {name}.")}
        rival = explainer(look.tensor.unsqueeze(0), target)
        visit.curves = {
            "MDM": visit.curves["MDM"],
            name: curves(look.net, look.tensor, rival.saliency[0, 0], target),
        }
        yield {
            self.at.status: panels.said(f"Compared with {name}."),
            self.at.comparison: results.comparison_panel(look, found, rival, name, opacity),
            self.at.curves: results.curves_panel(visit.curves),
        }

    def _ready(self) -> Updates:
        return {self.at.explain: gr.Button(interactive=True), self.at.stop: gr.Button(interactive=False)}

    def _blank(self) -> Updates:
        return {
            self.at.top: gr.Radio([], value=None),
            self.at.search: gr.Dropdown([], value=None),
            self.at.explain: gr.Button(interactive=False),
            self.at.stop: gr.Button(interactive=False),
            self.at.live: "",
            self.at.found: gr.Column(visible=False),
        }
