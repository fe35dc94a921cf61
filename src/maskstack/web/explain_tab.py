"""The first tab: explain a class that a network predicts for a photo."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import gradio as gr

from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.masks.presets import Preset
from maskstack.scoring.predict import class_probabilities
from maskstack.web import panels, results
from maskstack.web.answers import QUICK, Updates, guarded, key_of, working_alone
from maskstack.web.explain_layout import BEGIN, Layout
from maskstack.web.judging import curves
from maskstack.web.live import live
from maskstack.web.networks import Networks
from maskstack.web.sessions import PredictedPhoto, Session, Sessions
from maskstack.web.settings import filled_in
from maskstack.web.uploads import Upload

MOST_PASSES_TO_COMPARE, MOST_PASSES = 700, 2000
"""Maximum number of passes of another method and of a search; more would make other users wait too long."""


class ExplainTab:
    """Draws the tab within the page that is being built, and handles its events.

    Args:
        networks: The networks to choose from.
        sessions: The sessions of the users.
        samples: Sample photos by name.
        root: The server's own folder of uploads.
        max_pixels: Maximum number of pixels of a photo.
        every: Seconds between two snapshots of a search.
    """

    def __init__(
        self,
        networks: Networks,
        sessions: Sessions,
        *,
        samples: Mapping[str, Path],
        root: Path,
        max_pixels: int,
        every: float = 0.5,
    ) -> None:
        self.networks, self.sessions, self.samples, self.root = networks, sessions, samples, root
        self.max_pixels, self.every = max_pixels, every
        self.at = Layout(list(networks.offers), list(samples))
        self._connect()

    def _connect(self) -> None:
        at, work = self.at, working_alone(self.at.status)
        for name, button in at.picks.items():
            button.click(functools.partial(str, self.samples[name]), None, at.photo, **QUICK)
        changes = [at.photo.change, at.network.change]
        gr.on(changes, self.on_change, [at.photo, at.network], None, preprocess=False, **QUICK)
        # Uploads are read here and not by Gradio, whose messages about damaged pictures do not help.
        gr.on(
            changes, self.on_photo_or_network, [at.photo, at.network], [at.photo, *at.shown], preprocess=False, **work
        )
        # One of the two gives the class: choosing in one empties the other, in the browser.
        at.top.input(None, None, at.search, js="() => null")
        at.search.input(None, None, at.top, js="() => null")
        at.explain.click(self.on_explain, [at.top, at.search, at.preset, at.opacity, *at.settings], at.shown, **work)
        at.stop.click(self.on_stop, None, None, **QUICK)
        at.opacity.change(self.on_opacity, at.opacity, [at.overlay, at.files], **QUICK)
        at.compare.click(self.on_compare, [at.other_method, at.opacity], [at.status, at.comparison, at.curves], **work)

    def on_change(self, payload: Any, network: str, request: gr.Request) -> None:
        """A photo or a network was chosen: stop the search and remember the file, to remove it later."""
        key = key_of(request)
        session = self.sessions.of(key)
        session.stop.set()
        session.shown = (None, network)
        with contextlib.suppress(InputError):  # on_photo_or_network reports it
            upload = Upload.of(payload, self.root)
            if upload is not None:
                session.shown = (upload.path, network)
                if upload.path not in [sample.resolve() for sample in self.samples.values()]:
                    self.sessions.keep_upload(key, upload.path)

    def on_photo_or_network(self, payload: Any, network: str, request: gr.Request) -> Iterator[Updates]:
        """A photo or a network was chosen: show what the network predicts."""
        if self.sessions.has_left(key_of(request)):
            return
        session = self.sessions.of(key_of(request))
        session.predicted = None
        session.forget_results()
        if not payload and session.refused:  # The sentence that gives the reason stays.
            session.refused = False
            yield {self.at.photo: gr.skip()}
            return
        yield from guarded(self._predict(session, payload, network), self.at.status, self._blank())

    def _predict(self, session: Session, payload: Any, network: str) -> Iterator[Updates]:
        upload = Upload.of(payload, self.root)
        if upload is None:
            yield self._blank() | {self.at.status: panels.status_line(BEGIN)}
            return
        try:
            photo = upload.open(max_pixels=self.max_pixels)
        except InputError:
            session.refused = True
            yield {self.at.photo: None}
            raise
        net = self.networks.get(network)
        tensor = net.preprocess(photo).to(self.networks.device)
        scores = class_probabilities(net, tensor.unsqueeze(0))[0].cpu()
        predicted = session.predicted = PredictedPhoto.of(upload.name, upload.path, network, net, tensor, scores, photo)
        best = scores.topk(min(5, len(scores)))
        top = [
            (f"{predicted.net.class_name(index)} {share:.1%}", str(index))
            for share, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        every = [(predicted.net.class_name(index), str(index)) for index in range(len(scores))]
        sentence = f"{network} predicts {top[0][0]}. Choose a class, then press Explain."
        yield self._blank() | {
            self.at.status: panels.status_line(sentence),
            self.at.top: gr.Radio(top, value=top[0][1]),
            self.at.search: gr.Dropdown(every, value=None),
            self.at.explain: gr.Button(interactive=True),
        }

    def on_explain(
        self, request: gr.Request, top: str | None, search: str | None, preset: str, opacity: float, *settings: Any
    ) -> Iterator[Updates]:
        """Run the search: yield its state twice a second, and then the results."""
        session = self.sessions.of(key_of(request))
        ready = self._ready() | {self.at.live: ""}
        yield from guarded(self._explain(session, search or top, preset, opacity, settings), self.at.status, ready)

    def _explain(
        self, session: Session, wanted: str | None, preset: str, opacity: float, values: Sequence[Any]
    ) -> Iterator[Updates]:
        predicted = session.predicted
        if predicted is None or wanted is None:
            raise InputError("there is no photo or no class yet; choose both first")
        if session.shown not in (None, (predicted.path, predicted.model)):
            raise InputError("the photo or the network has changed; press Explain again")
        target = int(wanted)
        session.forget_results()
        session.stop.clear()
        settings = filled_in(values)
        mdm = MDM(predicted.net, preset=cast(Preset, preset), **cast(Any, settings))
        passes = mdm.cost(1)
        if sum(passes.values()) > MOST_PASSES:
            raise InputError(
                f"this search may take {sum(passes.values()):,} passes, and the page allows {MOST_PASSES:,}; "
                "use fewer steps, or maskstack explain"
            )
        begin = f"Searching for the region of {predicted.net.class_name(target)}: at most {passes['forward']} passes."
        yield {
            self.at.status: panels.status_line(begin),
            self.at.found: gr.Column(visible=False),
            self.at.explain: gr.Button(interactive=False),
            self.at.stop: gr.Button(interactive=True),
            self.at.live: "",
        }
        images = predicted.tensor.unsqueeze(0)
        search = live(lambda tell: mdm(images, target, progress=tell), session.stop, every=self.every)
        whole = float(predicted.scores[target])
        try:
            while True:
                snapshot = next(search)
                bar, shown = results.working(predicted, target, snapshot, whole, "probability")
                yield {self.at.status: bar, self.at.live: shown}
        except StopIteration as end:
            found = end.value
        finally:
            search.close()
        stopped = session.stop.is_set()
        measuring = "Measuring the insertion and deletion curves of the map."
        yield {self.at.status: panels.status_line(measuring), self.at.stop: gr.Button(interactive=False)}
        session.found, session.preset, session.settings = found, preset, settings
        session.curves = {"MDM": curves(predicted.net, predicted.tensor, found.saliency[0, 0], target)}
        yield self._results(session, predicted, opacity, stopped=stopped)

    def _results(self, session: Session, predicted: PredictedPhoto, opacity: float, *, stopped: bool) -> Updates:
        found = session.found
        assert found is not None
        before, kept = float(found.score_before[0]), float(found.score_under_stack[0])
        name = predicted.net.class_name(found.target[0] if found.target else 0)
        done = "Stopped" if stopped else "Done"
        sentence = (
            f"{done}: showing {float(found.area[0]):.0%} of the photo keeps {name} at {kept:.0%} "
            f"(whole photo: {before:.0%})."
        )
        session.stopped = stopped
        return self._ready() | {
            self.at.status: panels.status_line(sentence),
            self.at.live: "",
            self.at.found: gr.Column(visible=True),
            self.at.overlay: results.overlay_panel(predicted, found, opacity),
            self.at.masked: results.masked_panel(predicted, found),
            self.at.words: results.words_panel(predicted, found, stopped=stopped),
            self.at.masks: results.masks_panel(found),
            self.at.curves: results.curves_panel(session.curves),
            self.at.comparison: "",
            self.at.files: results.files_panel(predicted, found, session, opacity),
        }

    def on_stop(self, request: gr.Request) -> None:
        """Stop the search; what it has found is kept."""
        self.sessions.of(key_of(request)).stop.set()

    def on_opacity(self, opacity: float, request: gr.Request) -> Updates:
        """Draw the overlay again."""
        session = self.sessions.of(key_of(request))
        predicted, found = session.predicted, session.found
        if predicted is None or found is None:
            return {self.at.overlay: gr.skip()}
        return {
            self.at.overlay: results.overlay_panel(predicted, found, opacity),
            self.at.files: results.files_panel(predicted, found, session, opacity),
        }

    def on_compare(self, method: str, opacity: float, request: gr.Request) -> Iterator[Updates]:
        """Explain the same class by another method, and measure both in the same way."""
        session = self.sessions.of(key_of(request))
        yield from guarded(self._compare(session, method, opacity), self.at.status, {})

    def _compare(self, session: Session, method: str, opacity: float) -> Iterator[Updates]:
        predicted, found = session.predicted, session.found
        if predicted is None or found is None or not found.target:
            raise InputError("there is no map to compare with yet; press Explain first")
        if method not in METHODS:
            raise InputError("this method is not offered here; choose one from the list")
        target = found.target[0]
        explainer = make_explainer(method, predicted.net)
        if sum(explainer.cost(1).values()) > MOST_PASSES_TO_COMPARE:
            raise InputError(f"{method} takes too many passes for the page; use maskstack bench for it")
        name = METHODS[method].about.partition(" (")[0]
        yield {self.at.status: panels.status_line(f"Explaining the same class by {name}.")}
        other = explainer(predicted.tensor.unsqueeze(0), target)
        session.curves = {
            "MDM": session.curves["MDM"],
            name: curves(predicted.net, predicted.tensor, other.saliency[0, 0], target),
        }
        yield {
            self.at.status: panels.status_line(f"Compared with {name}."),
            self.at.comparison: results.comparison_panel(predicted, found, other, name, opacity),
            self.at.curves: results.curves_panel(session.curves),
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
