"""What the first tab computes after a search, on request: curves, and the maps of other methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import gradio as gr

from maskstack.errors import InputError
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.explanation import Explanation
from maskstack.web import panels, results
from maskstack.web.answers import Updates, guarded, key_of
from maskstack.web.explain_layout import MOST_METHODS, Layout
from maskstack.web.judging import curves
from maskstack.web.networks import Networks
from maskstack.web.sessions import PredictedPhoto, Session, Sessions

MOST_PASSES_TO_COMPARE = 700
"""Maximum number of passes of another method; more would make other users wait too long."""


class Extras:
    """Handles the requests.

    Args:
        at: The components of the tab.
        networks: The networks to choose from.
        sessions: The sessions of the users.
    """

    def __init__(self, at: Layout, networks: Networks, sessions: Sessions) -> None:
        self.at, self.networks, self.sessions = at, networks, sessions

    def on_curves(self, request: gr.Request) -> Iterator[Updates]:
        """Measure the insertion and deletion curves of the map, and of those that it is compared with."""
        session = self.sessions.of(key_of(request))
        yield from guarded(self._curves(session), self.at.status, {})

    def _curves(self, session: Session) -> Iterator[Updates]:
        predicted, found, target = _explained(session)
        yield {self.at.status: panels.status_line("Measuring the insertion and deletion curves of the map.")}
        net = self.networks.get(predicted.model)
        for name, one in {results.method_name(found): found, **session.others}.items():
            if name not in session.curves:
                session.curves[name] = curves(net, predicted.tensor, one.saliency[0, 0], target)
        yield {
            self.at.status: panels.status_line("Measured the curves; they are below the map."),
            self.at.curves: results.curves_panel(session.curves),
        }

    def on_compare(self, methods: Sequence[str] | None, opacity: float, request: gr.Request) -> Iterator[Updates]:
        """Explain the same class by other methods."""
        session = self.sessions.of(key_of(request))
        yield from guarded(self._compare(session, methods or [], opacity), self.at.status, {})

    def _compare(self, session: Session, methods: Sequence[str], opacity: float) -> Iterator[Updates]:
        predicted, found, target = _explained(session)
        chosen = list(dict.fromkeys(methods))
        if not 1 <= len(chosen) <= MOST_METHODS:
            raise InputError(f"{len(chosen)} methods are chosen; choose from 1 to {MOST_METHODS}")
        if not all(isinstance(method, str) and method in METHODS for method in chosen):
            raise InputError("this method is not offered here; choose one from the list")
        again = " Press Measure its curves again to include them." if session.curves else ""
        session.others, session.curves = {}, {}
        net = self.networks.get(predicted.model)
        for method in chosen:
            explainer = make_explainer(method, net)
            if sum(explainer.cost(1).values()) > MOST_PASSES_TO_COMPARE:
                raise InputError(f"{method} takes too many passes for the page; use maskstack bench for it")
            name = METHODS[method].about.partition(" (")[0]
            yield {self.at.status: panels.status_line(f"Explaining the same class by {name}.")}
            session.others[name] = explainer(predicted.tensor.unsqueeze(0), target)
        yield {
            self.at.status: panels.status_line(f"Compared with {', '.join(session.others)}.{again}"),
            self.at.comparison: results.comparison_panel(predicted, found, list(session.others.items()), opacity),
        }


def _explained(session: Session) -> tuple[PredictedPhoto, Explanation, int]:
    """The photo, its map and the class that are shown.

    Raises:
        InputError: There are none, or the photo itself is not here.
    """
    predicted, found = session.explained, session.found
    if predicted is None or found is None or not found.target:
        raise InputError("there is no map yet; press Explain first")
    if predicted.missing:
        raise InputError(predicted.missing)
    return predicted, found, found.target[0]
