"""What the page shows of a search, while it runs and when it is finished."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib

from maskstack.draw import overlay
from maskstack.draw.curves import faithfulness_curves, search_curve
from maskstack.draw.overlay import COLOURS
from maskstack.draw.pictures import as_picture
from maskstack.explanation import Explanation
from maskstack.jobs.naming import EXPLANATION, FIGURE, OVERLAY
from maskstack.web import panels
from maskstack.web.judging import area
from maskstack.web.live import Snapshot
from maskstack.web.panels import Picture
from maskstack.web.recipe import recipe
from maskstack.web.sessions import Curves, PredictedPhoto, Session


def working(
    predicted: PredictedPhoto, target: int, snapshot: Snapshot, whole: float, objective: str
) -> tuple[str, str]:
    """A search that is running: its sentence with a bar, and its map and curve."""
    name = predicted.net.class_name(target)
    at_most = f"at most about {snapshot.seconds_left:.0f} s left" if snapshot.step > 1 else "measuring the time"
    sentence = f"Searching for the region of {name}: step {snapshot.step} of {snapshot.steps}, {at_most}."
    shown = panels.png_of(overlay(predicted.picture, snapshot.stack.numpy(), geometry=predicted.geometry))
    curve = search_curve(
        snapshot.shown_scores, snapshot.hidden_scores, whole=whole, steps=snapshot.steps, name=objective
    )
    area_open = f"{float(snapshot.stack.mean()):.0%} of the photo shown"
    scores = "scores of the shown part and of the hidden part"
    both = [
        Picture(shown, f"the stacked masks so far over the photo, for {name}", area_open),
        Picture(panels.png_of_figure(curve), f"curves of the {scores}, step by step", scores),
    ]
    return panels.progress(snapshot.step, snapshot.steps, sentence), panels.pictures(both)


def overlay_panel(predicted: PredictedPhoto, found: Explanation, opacity: float) -> str:
    """The map over the photo."""
    name = _name(predicted, found)
    alt = f"map of the region that {predicted.model} needs for {name}"
    return panels.pictures([Picture(_over_photo(predicted, found, opacity), alt, f"{name}: overlay")])


def masked_panel(predicted: PredictedPhoto, found: Explanation) -> str:
    """The photo with all but the region of its map hidden, and the score that remains."""
    name = _name(predicted, found)
    masked = _placed(predicted, found).overlay(predicted.picture, style="masked", badge=False)
    before, kept = float(found.score_before[0]), float(found.score_under_stack[0])
    words = f"masked photo: score {kept:.0%} (whole photo: {before:.0%}), {float(found.area[0]):.0%} of the photo shown"
    return panels.pictures(
        [Picture(panels.png_of(masked), f"the photo with everything hidden except the region of {name}", words)]
    )


def masks_panel(found: Explanation) -> str:
    """Each size's mask."""
    shown = []
    for grid, mask, kept in zip(found.grids, found.masks[0], found.score_under_masks[0], strict=True):
        height, width = grid.shape[-2:]
        words = f"{height} x {width}: score {float(kept):.0%}, {float(mask.mean()):.0%} of the photo shown"
        coloured = as_picture(matplotlib.colormaps[COLOURS](mask.cpu().numpy())[..., :3])
        shown.append(Picture(panels.png_of(coloured), f"mask of {height} by {width} cells", words))
    return panels.pictures(shown, small=True)


def curves_panel(curves: Curves) -> str:
    """Insertion and deletion curves, and the areas under them."""
    drawn = panels.png_of_figure(faithfulness_curves(curves, name="probability"))
    rows = [(method, f"{area(both[0]):.2f}", f"{area(both[1]):.2f}") for method, both in curves.items()]
    alt = "insertion and deletion curves of " + ", ".join(curves)
    caption = "the left curve of a good map is high, the right one is low; hidden pixels are blurred"
    return panels.pictures([Picture(drawn, alt, caption)]) + panels.table(
        ("method", "insertion (higher is better)", "deletion (lower is better)"), rows, caption="areas under the curves"
    )


def words_panel(predicted: PredictedPhoto, found: Explanation, *, stopped: bool) -> str:
    """How far to trust the map, and what it cost."""
    lines = []
    if stopped:
        lines.append(f"Stopped after {int(found.steps[0].max())} steps; the map is what was found by then.")
    verdict = found.trust.verdict(0)
    lines.append(f"{verdict.word.capitalize()}: {verdict.sentence}")
    if predicted.net.weights == "random":
        lines.append("This network has random weights: its maps mean nothing.")
    passes = f"{int(found.forward_passes[0])} forward and {int(found.backward_passes[0])} backward passes"
    lines.append(f"The search took {passes} and {found.seconds:.1f} s.")
    return panels.paragraph(lines)


def files_panel(predicted: PredictedPhoto, found: Explanation, session: Session, opacity: float) -> str:
    """The files to download: pictures, the explanation, and Python code that makes the map again."""
    stem = Path(predicted.name).stem or "photo"
    figure = panels.png_of_figure(_placed(predicted, found).plot(predicted.picture), dpi=120)
    lines = recipe(
        spec=predicted.net.spec,
        photo=predicted.name,
        preset=session.preset,
        settings=session.settings,
        target=found.target[0] if found.target else 0,
        name=_name(predicted, found),
        stopped_after=int(found.steps[0].max()) if session.stopped else None,
    )
    with tempfile.TemporaryDirectory() as folder:
        saved = found.save(Path(folder) / "explanation.safetensors").read_bytes()
    files = [
        ("Overlay (PNG)", stem + OVERLAY, _over_photo(predicted, found, opacity), "image/png"),
        ("Figure (PNG)", stem + FIGURE, figure, "image/png"),
        ("Explanation (safetensors)", stem + EXPLANATION, saved, "application/octet-stream"),
        ("Python code", f"{stem}.py", lines.encode(), "text/x-python"),
    ]
    return panels.downloads(files) + panels.code(lines)


def comparison_panel(
    predicted: PredictedPhoto, found: Explanation, other: Explanation, method: str, opacity: float
) -> str:
    """Another method's map beside that of MDM."""
    shown = []
    for one, words in ((found, "MDM"), (other, method)):
        caption = f"{words}: {int(one.forward_passes[0] + one.backward_passes[0])} passes, {one.seconds:.1f} s"
        shown.append(Picture(_over_photo(predicted, one, opacity), f"map of {words} over the photo", caption))
    problem = other.trust.problems[0]
    notes = [] if problem is None else [f"{method}: {problem}."]
    notes += [f"{method} used {key} {value}." for key, value in other.notes.items()]
    return panels.pictures(shown) + panels.paragraph(notes)


def _name(predicted: PredictedPhoto, found: Explanation) -> str:
    return predicted.net.class_name(found.target[0]) if found.target else found.objective


def _over_photo(predicted: PredictedPhoto, found: Explanation, opacity: float) -> bytes:
    """A map over the photo, as PNG."""
    return panels.png_of(_placed(predicted, found).overlay(predicted.picture, opacity=opacity))


def _placed(predicted: PredictedPhoto, found: Explanation) -> Explanation:
    """The explanation on the photo as the page shows it."""
    return replace(found, geometry=(predicted.geometry,))
