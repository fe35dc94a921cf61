"""How the first tab shows an explanation: one just found, an earlier one of the visit, or one of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from maskstack.draw.pictures import thumbnail_uri
from maskstack.errors import InputError, MaskstackError
from maskstack.explanation import Explanation
from maskstack.web import downloads, panels, results
from maskstack.web.answers import Updates, guarded, key_of, sentence_of
from maskstack.web.explain_layout import Layout
from maskstack.web.networks import Networks
from maskstack.web.saved import open_saved
from maskstack.web.sessions import Kept, PredictedPhoto, Session, Sessions
from maskstack.web.uploads import Upload


class Showing:
    """Shows explanations, and handles the events that change what is shown of them.

    Args:
        at: The components of the tab.
        networks: The networks to choose from.
        sessions: The sessions of the users.
        samples: Sample photos by name.
        root: The server's own folder of uploads.
    """

    def __init__(
        self, at: Layout, networks: Networks, sessions: Sessions, *, samples: Mapping[str, Path], root: Path
    ) -> None:
        self.at, self.networks, self.sessions, self.samples, self.root = at, networks, sessions, samples, root

    def show(self, session: Session, kept: Kept, view: str, opacity: float) -> Updates:
        """Show an explanation: the map and the words; everything else on request."""
        session.show(kept)
        return {
            self.at.status: panels.status_line(f"{'Stopped' if kept.stopped else 'Done'}: {kept.title}."),
            self.at.live: "",
            self.at.found: gr.Column(visible=True),
            self.at.result: gr.Column(visible=True),
            self.at.view: gr.Radio(value=view),
            self.at.overlay: results.overlay_panel(kept.predicted, kept.found, view, opacity),
            self.at.words: results.words_panel(kept.predicted, kept.found, session),
            self.at.masks: "",
            self.at.curves: "",
            self.at.comparison: "",
            self.at.files: "",
        }

    def remember(self, session: Session, kept: Kept) -> Updates:
        """Add an explanation to the visit's list."""
        small = thumbnail_uri(kept.predicted.picture.convert("RGB"), 56)
        session.history.append(replace(kept, predicted=kept.predicted.without_network(), thumbnail=small))
        choices = [(f"{number}. {_line(each)}", str(number - 1)) for number, each in enumerate(session.history, 1)]
        return {
            self.at.visit: gr.Accordion(visible=True),
            self.at.history_style: panels.thumbnails("#history", [each.thumbnail for each in session.history]),
            self.at.history: gr.Radio(choices, value=choices[-1][1]),
        }

    def on_history(self, chosen: str | None, view: str, opacity: float, request: gr.Request) -> Updates:
        """Show an earlier explanation of this visit again."""
        session = self.sessions.of(key_of(request))
        history = list(session.history)
        if chosen is None or not chosen.isdecimal() or int(chosen) >= len(history):
            return {self.at.status: gr.skip()}
        return self.show(session, history[int(chosen)], "contour" if view == "zoom" else view, opacity)

    def on_saved(self, payload: Any, network: str, opacity: float, request: gr.Request) -> Iterator[Updates]:
        """Show the explanation of a file."""
        key = key_of(request)
        if self.sessions.has_left(key):
            return
        session = self.sessions.of(key)
        yield from guarded(self._saved(session, key, payload, network, opacity), self.at.status, {})

    def _saved(self, session: Session, key: str, payload: Any, network: str, opacity: float) -> Iterator[Updates]:
        upload = Upload.of(payload[0] if isinstance(payload, list) and payload else payload, self.root)
        if upload is None:
            raise InputError("there is no explanation file yet; choose one first")
        self.keep(key, upload.path, "saved")
        predicted, found = open_saved(upload.path, upload.name, network, self.networks.get, session.predicted)
        kept = Kept(title_of(predicted, found), predicted, found, "default", {}, False, "")
        yield self.show(session, kept, "contour", opacity) | self.remember(session, kept)

    def on_file(self, payload: Any) -> Updates:
        """Make a file the photo of the page, also one that browsers do not know as a picture, such as DICOM."""
        try:
            upload = Upload.of(payload[0] if isinstance(payload, list) and payload else payload, self.root)
        except InputError as error:
            return {self.at.status: panels.status_line(sentence_of(error), error=True)}
        return {self.at.photo: gr.skip() if upload is None else str(upload.path)}

    def on_view(self, view: str, opacity: float, request: gr.Request) -> Updates:
        """Draw another view of the map."""
        session = self.sessions.of(key_of(request))
        if session.explained is None or session.found is None:
            return {self.at.overlay: gr.skip()}
        try:
            return {self.at.overlay: results.overlay_panel(session.explained, session.found, view, opacity)}
        except InputError as error:
            return {self.at.status: panels.status_line(sentence_of(error), error=True)}

    def on_masks(self, request: gr.Request) -> Any:
        """Show the mask of each size."""
        found = self.sessions.of(key_of(request)).found
        return gr.skip() if found is None else results.masks_panel(found)

    def file_maker(self, kind: str) -> Callable[[float, gr.Request], Updates]:
        """The handler that makes a kind of file to download."""

        def on_file(opacity: float, request: gr.Request) -> Updates:
            session = self.sessions.of(key_of(request))
            if session.explained is None or session.found is None:
                return {self.at.files: gr.skip()}
            try:
                shown = downloads.file_panel(kind, session.explained, session.found, session, opacity)
            except MaskstackError as error:
                shown = panels.paragraph([sentence_of(error)])
            return {self.at.files: shown}

        return on_file

    def ready(self) -> Updates:
        """The buttons when no search runs."""
        return {self.at.explain: gr.Button(interactive=True), self.at.stop: gr.Button(interactive=False)}

    def keep(self, key: str, path: Path, tab: str) -> None:
        """Remember an upload, to remove it later; the samples stay."""
        if path not in [sample.resolve() for sample in self.samples.values()]:
            self.sessions.keep_upload(key, path, tab=tab)


def _line(kept: Kept) -> str:
    """An explanation in the visit's list: what was explained, by which network, and how."""
    settings = [f"{name}={value}" for name, value in kept.settings.items()]
    stopped = [f"stopped after {int(kept.found.steps[0].max())} steps"] if kept.stopped else []
    how = "from a file" if kept.predicted.opened else ", ".join([kept.preset, *settings, *stopped])
    return f"{kept.title} ({kept.predicted.model}; {how})"


def title_of(predicted: PredictedPhoto, found: Explanation) -> str:
    """An explanation's photo, class and verdict."""
    name = found.target_name[0] if found.target_name else None
    if name is None:
        name = predicted.net.class_name(found.target[0]) if found.target else found.objective
    return f"{predicted.name}: {name}, {found.trust.verdict(0).word}"
