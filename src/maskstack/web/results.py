"""What the page shows of a search, while it runs and when it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import matplotlib
from torch import Tensor

from maskstack.draw import overlay
from maskstack.draw.curves import faithfulness_curves
from maskstack.draw.overlay import COLOURS, Style
from maskstack.draw.pictures import as_picture, thumbnail
from maskstack.errors import InputError
from maskstack.explainers.table import METHODS
from maskstack.explanation import Explanation
from maskstack.models import open_photo
from maskstack.web import panels
from maskstack.web.judging import area
from maskstack.web.live import Snapshot
from maskstack.web.panels import Picture
from maskstack.web.reading import how_it_was_read
from maskstack.web.sessions import Curves, PredictedPhoto, Session

LIVE = 420
"""Largest number of pixels of a side of the picture during a search."""

ZOOM = 1400
"""Largest number of pixels of a side of the part that the 1:1 zoom shows."""

ZOOM_PIXELS = 16_000_000
"""Largest number of pixels of a photo of which the 1:1 zoom is drawn."""


def working(predicted: PredictedPhoto, target: int, snapshot: Snapshot) -> tuple[str, str]:
    """A search that is running: its sentence with a bar, and its map with the scores."""
    name = predicted.net.class_name(target)
    sentence = (
        f"Searching for the region of {name}: step {snapshot.step} of {snapshot.steps}, {_what_follows(snapshot)}."
    )
    shown = overlay(predicted.picture, snapshot.stack.numpy(), geometry=predicted.geometry)
    caption = f"{float(snapshot.stack.mean()):.0%} of the network's input shown"
    picture = Picture(
        panels.webp_of(thumbnail(shown, LIVE), quality=60), f"the mask so far over the photo, for {name}", caption
    )
    scores = panels.score_lines(snapshot.shown_scores, snapshot.hidden_scores, steps=snapshot.steps)
    return panels.progress(snapshot.step, snapshot.steps, sentence), panels.pictures([picture]) + scores


def _what_follows(snapshot: Snapshot) -> str:
    if snapshot.last:
        return "measuring how reliable the map is"
    return f"at most about {snapshot.seconds_left:.0f} s left" if snapshot.step > 1 else "measuring the time"


def overlay_panel(predicted: PredictedPhoto, found: Explanation, view: str, opacity: float) -> str:
    """A view of the result.

    Args:
        predicted: The photo.
        found: The explanation.
        view: ``contour``, ``heat``, ``masked``, ``original`` or ``zoom``.
        opacity: Opacity of the colours.

    Raises:
        InputError: There is no such view, or the photo cannot be shown at its own size.
    """
    name = class_of(predicted, found)
    if view == "zoom":
        return _zoom_panel(predicted, found, opacity)
    if view == "original":
        shown, alt, legend = predicted.picture, "the photo", ""
    elif view == "masked":
        shown = placed(predicted, found).overlay(predicted.picture, style="masked", badge=False)
        alt, legend = f"the photo with everything hidden except the region of {name}", ""
    elif view in ("contour", "heat"):
        style: Style = "contour" if view == "contour" else "heat"
        shown = placed(predicted, found).overlay(predicted.picture, style=style, opacity=opacity, badge=False)
        alt, legend = f"map of the region that {predicted.model} needs for {name}", panels.legend()
    else:
        raise InputError("this view is not offered here; choose one from the list")
    return panels.pictures([Picture(panels.webp_of(shown), alt, f"{predicted.name}: {name}")]) + legend


def _zoom_panel(predicted: PredictedPhoto, found: Explanation, opacity: float) -> str:
    """The part of the photo around the region, one pixel for each of the photo's."""
    predicted.check_is_here()
    photo = open_photo(predicted.path, max_pixels=ZOOM_PIXELS)
    place = None if predicted.geometry is None else predicted.geometry.scaled((photo.height, photo.width))
    if place is None:
        drawn = placed(predicted, found).overlay(predicted.picture, opacity=opacity, badge=False)
        middle = drawn.width / 2, drawn.height / 2
    else:
        drawn = replace(found, geometry=(place,)).overlay(photo, opacity=opacity, badge=False)
        rows, columns = (found.saliency[0, 0] >= 0.5).nonzero(as_tuple=True)
        height, width = found.saliency.shape[-2:]
        across, down = (
            (float(columns.float().mean()) / width, float(rows.float().mean()) / height) if len(rows) else (0.5, 0.5)
        )
        left, top, right, bottom = place.box
        middle = left + across * (right - left), top + down * (bottom - top)
    box = _window(drawn.width, middle[0]), _window(drawn.height, middle[1])
    part = drawn.crop((box[0][0], box[1][0], box[0][1], box[1][1]))
    words = f"{part.width} x {part.height} of the photo's {drawn.width} x {drawn.height} pixels, at their own size"
    return panels.zoomed(Picture(panels.webp_of(part), f"the photo at its own size around the region: {words}", words))


def _window(length: int, middle: float) -> tuple[int, int]:
    """First pixel and the one after the last of a part of at most :data:`ZOOM` pixels around a middle."""
    size = min(length, ZOOM)
    first = min(max(round(middle - size / 2), 0), length - size)
    return first, first + size


def method_name(found: Explanation) -> str:
    """Name of the method that made a map."""
    known = METHODS.get(found.method)
    return "MDM" if found.method == "mdm" else known.about.partition(" (")[0] if known else found.method


def masks_panel(found: Explanation) -> str:
    """Each size's mask, or that there are none."""
    if not len(found.grids) == found.masks.shape[1] == found.score_under_masks.shape[1] > 0:
        return panels.paragraph([f"{method_name(found)} has no masks of several sizes."])
    shown = []
    for grid, mask, kept in zip(found.grids, found.masks[0], found.score_under_masks[0], strict=True):
        height, width = grid.shape[-2:]
        words = (
            f"{height} x {width}: score {_score(found, kept)}, {float(mask.mean()):.0%} of the network's input shown"
        )
        coloured = as_picture(matplotlib.colormaps[COLOURS](mask.cpu().numpy())[..., :3])
        shown.append(Picture(panels.webp_of(coloured), f"mask of {height} by {width} cells", words))
    return panels.pictures(shown, small=True)


def curves_panel(curves: Curves) -> str:
    """Insertion and deletion curves, and the areas under them."""
    drawn = panels.webp_of_figure(faithfulness_curves(curves, name="probability"))
    rows = [(method, f"{area(both[0]):.2f}", f"{area(both[1]):.2f}") for method, both in curves.items()]
    alt = "insertion and deletion curves of " + ", ".join(curves)
    caption = "the left curve of a good map is high, the right one is low; hidden pixels are blurred"
    return panels.pictures([Picture(drawn, alt, caption)]) + panels.table(
        ("method", "insertion (higher is better)", "deletion (lower is better)"), rows, caption="areas under the curves"
    )


def words_panel(predicted: PredictedPhoto, found: Explanation, session: Session) -> str:
    """The verdict and why, and the numbers in a fold."""
    name, verdict = class_of(predicted, found), found.trust.verdict(0)
    score, kept = _score(found, found.score_before[0]), _score(found, found.score_under_stack[0])
    warned = ["This network has random weights: its maps mean nothing."] if predicted.net.weights == "random" else []
    if predicted.net.assumed:
        warned.append(f"Note: {predicted.net.assumed}.")
    warned += [said] if (said := how_it_was_read({**predicted.notes, **found.notes})) else []
    if session.stopped:
        warned.append(f"Stopped after {int(found.steps[0].max())} steps; the map is what was found by then.")
    shown = f"Showing {float(found.area[0]):.0%} of the network's input keeps {name} at {kept} (all of it: {score})."
    lines = [
        *([shown] if found.score_under_stack[0].isfinite() else []),
        *(f"Reason: {reason}." for reason in verdict.reasons),
        f"The search took {int(found.forward_passes[0])} forward and {int(found.backward_passes[0])} backward passes "
        f"and {found.seconds:.1f} s.",
        f"Network: {predicted.model}. Method: {found.method}.",
    ]
    numbers = panels.fold("Numbers", panels.paragraph(lines))
    return panels.verdict(verdict.word, verdict.sentence, title=f"{name}, {score}") + panels.paragraph(warned) + numbers


def comparison_panel(
    predicted: PredictedPhoto, found: Explanation, others: Sequence[tuple[str, Explanation]], opacity: float
) -> str:
    """The maps of other methods beside that of the explanation."""
    shown, notes = [], []
    for words, one in ((method_name(found), found), *others):
        done = panels.passes(int(one.forward_passes[0]), int(one.backward_passes[0]))
        caption = f"{words}: {done}, {one.seconds:.1f} s"
        drawn = placed(predicted, one).overlay(predicted.picture, opacity=opacity, badge=False)
        shown.append(Picture(panels.webp_of(thumbnail(drawn, LIVE)), f"map of {words} over the photo", caption))
        problem = one.trust.problems[0]
        notes += [] if problem is None else [f"{words}: {problem}."]
    return panels.pictures(shown, small=True) + panels.paragraph(notes)


def class_of(predicted: PredictedPhoto, found: Explanation) -> str:
    """Name of the explained class; the objective if there is no class."""
    if found.target_name:
        return found.target_name[0]
    return predicted.net.class_name(found.target[0]) if found.target else found.objective


def _score(found: Explanation, value: Tensor) -> str:
    """A score in words: in percent only if it is a probability."""
    return f"{float(value):.0%}" if found.objective == "class_probability" else f"{float(value):.3g}"


def placed(predicted: PredictedPhoto, found: Explanation) -> Explanation:
    """The explanation on the photo as the page shows it."""
    return replace(found, geometry=(predicted.geometry,))
