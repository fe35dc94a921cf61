"""The first tab: explain a class that a network predicts for a photo."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import gradio as gr
from torch import Tensor

from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.masks.presets import Preset
from maskstack.models import LoadedModel
from maskstack.scoring.predict import class_probabilities
from maskstack.web import panels, results
from maskstack.web.answers import QUICK, Updates, guarded, key_of, working_alone
from maskstack.web.explain_layout import BEGIN, OFFERED, Layout, most_passes
from maskstack.web.extras import Extras
from maskstack.web.live import live
from maskstack.web.networks import Networks
from maskstack.web.reading import in_control, read_panel
from maskstack.web.sessions import Kept, PredictedPhoto, Session, Sessions
from maskstack.web.settings import filled_in
from maskstack.web.showing import Showing, title_of
from maskstack.web.uploads import Upload

MOST_PASSES = 2000
"""Maximum number of passes of a search; more would make other users wait too long."""

MOST_PICTURES = 25
"""About how many pictures of a search are sent."""

PHOTO = "#photo"
"""Selector of the control of the photo."""

# On a narrow page the live map is below the controls.
_PRESSED = """() => {
    if (window.innerWidth < 900) document.querySelector("#stage").scrollIntoView({ block: "start" });
    return [{ __type__: "update", interactive: false }, { __type__: "update", interactive: true }];
}"""

_DISABLED = '() => [{ __type__: "update", interactive: false }, { __type__: "update", interactive: false }]'

_READY_AGAIN = '() => [{ __type__: "update", interactive: true }, { __type__: "update", interactive: false }]'

_SAVE = """() => {
    const save = (left) => {
        const link = document.querySelector("#files a");
        if (link) link.click(); else if (left) setTimeout(() => save(left - 1), 100);
    };
    setTimeout(() => save(30), 250);
}"""


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
        self.seconds_per_pass: dict[str, float] = {}
        self.at = Layout(list(networks.offers), list(samples))
        # Gradio deletes what was shown when it is two hours old; the samples are shown again.
        self.at.photo.keep_in_cache.update(str(path.absolute()) for path in samples.values())
        self.showing = Showing(self.at, networks, sessions, samples=samples, root=root)
        self.extras = Extras(self.at, networks, sessions)
        self._connect()

    def _connect(self) -> None:
        at, showing, work = self.at, self.showing, working_alone(self.at.status)
        for name, button in at.picks.items():
            button.click(functools.partial(str, self.samples[name]), None, at.photo, **QUICK)
        at.medical.upload(showing.on_file, at.medical, [at.photo, at.status], preprocess=False, **QUICK)
        changes = [at.photo.change, at.network.change]
        # First, because the browser runs a change's events one after the other. A list of classes that is open when it
        # gets shorter is an error in the browser, which then drops the rest of the update. A press of Explain before
        # the prediction would be dropped without a word, because its class is not among the new ones.
        gr.on(changes, None, None, [at.search, at.explain], js=_DISABLED, show_progress="hidden")
        gr.on(changes, self.on_change, [at.photo, at.network], at.photo_style, preprocess=False, **QUICK)
        # Uploads are read here and not by Gradio, whose messages about damaged pictures do not help.
        gr.on(
            changes, self.on_photo_or_network, [at.photo, at.network], [at.photo, *at.shown], preprocess=False, **work
        )
        # One of the two gives the class: choosing in one empties the other, in the browser.
        at.top.input(None, None, at.search, js="() => null")
        # Leaving the search field without a choice is an input too, of nothing.
        at.search.input(None, [at.search, at.top], at.top, js="(found, top) => found === null ? top : null")
        # The browser disables the button, so that two quick presses are one search. A press that comes after the
        # results, but before the browser has heard that the event is over, waits for that; by default it is dropped.
        buttons = [at.explain, at.stop]
        at.explain.click(None, None, buttons, js=_PRESSED)
        settings = [at.top, at.search, at.preset, at.opacity, *at.settings]
        explained = at.explain.click(self.on_explain, settings, at.shown, trigger_mode="always_last", **work)
        explained.failure(None, None, buttons, js=_READY_AGAIN)
        at.stop.click(self.on_stop, None, None, **QUICK)
        seen = [at.view, at.opacity]
        shown = [at.overlay, at.status]
        at.view.input(showing.on_view, seen, shown, trigger_mode="always_last", **QUICK)
        at.opacity.change(showing.on_view, seen, shown, trigger_mode="always_last", **QUICK)
        at.want_masks.click(showing.on_masks, None, at.masks, **QUICK)
        for kind, button in at.wants.items():
            asked = button.click(showing.file_maker(kind), at.opacity, [at.files, at.status], **QUICK)
            asked.success(None, None, None, js=_SAVE)
        extras = self.extras
        at.want_curves.click(extras.on_curves, None, [at.status, at.curves], **work)
        at.compare.click(extras.on_compare, [at.other_methods, at.opacity], [at.status, at.comparison], **work)
        at.history.input(showing.on_history, [at.history, at.view, at.opacity], at.shown, **QUICK)
        at.saved.upload(showing.on_saved, [at.saved, at.network, at.opacity], at.shown, preprocess=False, **work)

    def on_change(self, payload: Any, network: str, request: gr.Request) -> Any:
        """A photo or a network was chosen: stop the search and remember the file, to remove it later."""
        key = key_of(request)
        session = self.sessions.of(key)
        session.stop.set()
        before = session.shown
        session.shown = (None, network)
        with contextlib.suppress(InputError):  # on_photo_or_network reports it
            upload = Upload.of(payload, self.root)
            if upload is not None:
                session.shown = (upload.path, network)
                self.showing.keep(key, upload.path, "explain")
                same = before is not None and before[0] == upload.path
                return gr.skip() if same else in_control(PHOTO, upload.path)
        return ""

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
        # Enter takes the first class whose name holds what was typed; of those, the whole name is the shortest.
        every = [(predicted.net.class_name(index), str(index)) for index in range(len(scores))]
        every.sort(key=lambda pair: len(pair[0]))
        sentence = f"{network} predicts {top[0][0]}. Choose a class, then press Explain."
        self._measure(network, net, tensor)
        yield self._blank() | {
            self.at.status: panels.status_line(sentence),
            self.at.photo_style: in_control(PHOTO, upload.path, predicted.photo),
            self.at.bars: panels.bars("#top", best.values.tolist()),
            self.at.live: read_panel(predicted),
            self.at.top: gr.Radio(top, value=top[0][1]),
            self.at.search: gr.Dropdown(every, value=None, interactive=True),
            self.at.preset: gr.Radio([(self._expected(network, name), name) for name in OFFERED]),
            self.at.explain: gr.Button(interactive=True),
        }

    def _measure(self, network: str, net: LoadedModel, tensor: Tensor) -> None:
        """Measure the time of a pass, unless a search has told it; the first pass of a network is slower."""
        if network not in self.seconds_per_pass:
            before = time.perf_counter()
            class_probabilities(net, tensor.unsqueeze(0))
            self.seconds_per_pass[network] = time.perf_counter() - before

    def _expected(self, network: str, name: str) -> str:
        """A preset's name with the time that it is expected to take."""
        seconds = self.seconds_per_pass[network] * _weight(most_passes(name))
        return f"{name}, about {max(round(seconds), 1)} s"

    def on_explain(
        self, request: gr.Request, top: str | None, search: str | None, preset: str, opacity: float, *settings: Any
    ) -> Iterator[Updates]:
        """Run the search: yield its state twice a second, and then the results."""
        session = self.sessions.of(key_of(request))
        ready = self.showing.ready() | {self.at.live: ""}
        yield from guarded(self._explain(session, search or top, preset, opacity, settings), self.at.status, ready)

    def _explain(
        self, session: Session, wanted: str | None, preset: str, opacity: float, values: Sequence[Any]
    ) -> Iterator[Updates]:
        leaves, session.leaves = session.leaves, False
        if leaves:
            raise InputError("stopped before the search began")
        predicted = session.predicted
        if predicted is None or wanted is None:
            raise InputError("there is no photo or no class yet; choose both first")
        if session.shown not in (None, (predicted.path, predicted.model)):
            raise InputError("the photo or the network has changed; press Explain again")
        target = int(wanted)
        session.stop.clear()
        settings = filled_in(values)
        mdm = MDM(predicted.net, preset=cast(Preset, preset), **cast(Any, settings))
        passes = mdm.cost(1)
        if sum(passes.values()) > MOST_PASSES:
            raise InputError(
                f"this search may take {panels.passes(**passes)}, and the page allows {MOST_PASSES:,} in all; "
                "use fewer steps, or maskstack explain"
            )
        # Only now: after an error above, the earlier result is still shown.
        session.forget_results()
        begin = f"Searching for the region of {predicted.net.class_name(target)}: at most {panels.passes(**passes)}."
        yield {
            self.at.status: panels.status_line(begin),
            self.at.found: gr.Column(visible=False),
            self.at.result: gr.Column(visible=False),
            self.at.explain: gr.Button(interactive=False),
            self.at.stop: gr.Button(interactive=True),
            self.at.live: "",
        }
        images = predicted.tensor.unsqueeze(0)
        # About 25 pictures a search, so that a long one does not send megabytes.
        expected = self.seconds_per_pass.get(predicted.model, 0.0) * (passes["forward"] + 2 * passes["backward"])
        every = max(self.every, min(expected / MOST_PICTURES, 4.0))
        session.searching = True
        search = live(lambda tell: mdm(images, target, progress=tell), session.stop, every=every)
        last = False
        try:
            while True:
                snapshot = next(search)
                last = snapshot.last
                bar, shown = results.working(predicted, target, snapshot)
                yield {self.at.status: bar, self.at.live: shown}
        except StopIteration as end:
            found = end.value
        finally:
            search.close()
            session.searching = False
        stopped = session.stop.is_set() and not last  # after the last step, only the verdict is missing
        done = int(found.forward_passes[0]), int(found.backward_passes[0])
        self.seconds_per_pass[predicted.model] = found.seconds / max(_weight(done), 1)
        kept = Kept(title_of(predicted, found), predicted, found, preset, settings, stopped, "")
        updates = self.showing.show(session, kept, "contour", opacity)
        # In one update: of two in quick succession, the browser sometimes misses the second.
        yield self.showing.ready() | updates | self.showing.remember(session, kept)

    def on_stop(self, request: gr.Request) -> None:
        """Stop the search; what it has found is kept. A search that still waits for others does not begin."""
        session = self.sessions.of(key_of(request))
        session.stop.set()
        session.leaves = not session.searching

    def _blank(self) -> Updates:
        return {
            self.at.top: gr.Radio([], value=None),
            self.at.search: gr.Dropdown(value=None, interactive=False),
            self.at.explain: gr.Button(interactive=False),
            self.at.stop: gr.Button(interactive=False),
            self.at.bars: "",
            self.at.live: "",
            self.at.found: gr.Column(visible=False),
            self.at.result: gr.Column(visible=False),
        }


def _weight(passes: tuple[int, int]) -> int:
    """What forward and backward passes cost, in forward passes; a backward pass costs about two."""
    return passes[0] + 2 * passes[1]
