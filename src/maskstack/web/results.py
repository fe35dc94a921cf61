"""What the page shows of a search, while it works and when it is done."""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.draw import as_rgb, overlay
from maskstack.draw.curves import faithfulness_curves, search_curve
from maskstack.draw.overlay import COLOURS
from maskstack.explanation import Explanation
from maskstack.web import panels
from maskstack.web.judging import area
from maskstack.web.live import Snapshot
from maskstack.web.panels import Picture
from maskstack.web.recipe import recipe
from maskstack.web.visits import Curves, Look


def class_name(look: Look, target: int) -> str:
    """What the network calls a class."""
    names = look.net.class_names
    return names[target] if target < len(names) else f"class {target}"


def working(look: Look, target: int, snapshot: Snapshot, whole: float, objective: str) -> tuple[str, str]:
    """A search that goes on: its sentence with a bar, and its map and curve."""
    name = class_name(look, target)
    at_most = f"about {snapshot.seconds_left:.0f} s left at most" if snapshot.step > 1 else "measuring the time"
    sentence = f"Looking for {name}: step {snapshot.step} of {snapshot.steps}, {at_most}."
    shown = overlay(look.picture, snapshot.stack.numpy())
    curve = search_curve(snapshot.kept, snapshot.left, whole=whole, steps=snapshot.steps, name=objective)
    area_open = float(snapshot.stack.mean())
    return panels.progress(snapshot.step, snapshot.steps, sentence), panels.pictures(
        [
            Picture(
                panels.png_of(shown), f"the stacked masks so far over the photo, for {name}", f"{area_open:.0%} open"
            ),
            Picture(
                panels.png_of_figure(curve),
                "curve of the score that the shown part keeps and the hidden part has, step by step",
                "what the shown part keeps, what the hidden part still has",
            ),
        ]
    )


def overlay_panel(look: Look, found: Explanation, opacity: float) -> str:
    """The map over the photo."""
    name = _name(look, found)
    image = overlay(look.picture, found.saliency[0, 0].cpu().numpy(), opacity=opacity)
    return panels.pictures([Picture(panels.png_of(image), f"where {look.model} sees {name}", f"{name}: overlay")])


def masked_panel(look: Look, found: Explanation) -> str:
    """The photo under its map, and the score it keeps."""
    name = _name(look, found)
    photo, stack = as_rgb(look.picture), found.stack[0, 0].cpu().numpy()
    masked = Image.fromarray((photo * stack[..., None] * 255).round().astype(np.uint8))
    before, kept = float(found.score_before[0]), float(found.score_under_stack[0])
    words = f"masked: keeps {kept:.0%} (whole photo {before:.0%}), {float(found.area[0]):.0%} open"
    return panels.pictures(
        [Picture(panels.png_of(masked), f"the photo with all hidden but what speaks for {name}", words)]
    )


def masks_panel(found: Explanation) -> str:
    """Each size's mask."""
    shown = []
    for grid, mask, kept in zip(found.grids, found.masks[0], found.score_under_masks[0], strict=True):
        height, width = grid.shape[-2:]
        words = f"{height} x {width}: keeps {float(kept):.0%}, {float(mask.mean()):.0%} open"
        shown.append(Picture(panels.png_of(_coloured(mask.cpu().numpy())), f"mask of {height} by {width} cells", words))
    return panels.pictures(shown, small=True)


def curves_panel(curves: Curves) -> str:
    """Insertion and deletion curves, and the areas under them."""
    drawn = panels.png_of_figure(faithfulness_curves(curves, name="probability"))
    rows = [(method, f"{area(both[0]):.2f}", f"{area(both[1]):.2f}") for method, both in curves.items()]
    alt = "insertion and deletion curves of " + ", ".join(curves)
    caption = "a good map: a high left curve, a low right one; hidden pixels are blurred"
    return panels.pictures([Picture(drawn, alt, caption)]) + panels.table(
        ("method", "insertion, high is good", "deletion, low is good"), rows, caption="areas under the curves"
    )


def words_panel(look: Look, found: Explanation, *, stopped: bool) -> str:
    """How far to believe it."""
    lines = []
    if stopped:
        lines.append(f"Stopped after {int(found.steps[0].max())} steps; this is what was found until then.")
    if found.degenerate[0]:
        lines.append(f"Do not trust this map: {found.degenerate[0]}.")
    if found.trust is not None:
        lines.append(f"Trust: {found.trust.words(0)}.")
        lines += [f"{doubt[:1].upper()}{doubt[1:]}." for doubt in found.trust.doubts(0)]
    if look.net.weights == "random":
        lines.append("This network has random weights: its maps mean nothing.")
    passes = f"{int(found.forward_passes[0])} forward and {int(found.backward_passes[0])} backward passes"
    lines.append(f"It took {passes}, {found.seconds:.1f} s.")
    return panels.paragraph(lines)


def files_panel(look: Look, found: Explanation, *, preset: str, spec: str, opacity: float, stopped: bool) -> str:
    """What can be taken away: the picture, the explanation's file, the lines that make it again."""
    stem = Path(look.name).stem or "photo"
    image = overlay(look.picture, found.saliency[0, 0].cpu().numpy(), opacity=opacity)
    figure = panels.png_of_figure(found.plot(look.picture), dpi=120)
    target = found.target[0] if found.target else 0
    lines = recipe(
        spec=spec,
        photo=look.name,
        preset=preset,
        target=target,
        name=_name(look, found),
        stopped_after=int(found.steps[0].max()) if stopped else None,
    )
    with tempfile.TemporaryDirectory() as folder:
        saved = found.save(Path(folder) / "explanation.safetensors").read_bytes()
    files = [
        ("Overlay (PNG)", f"{stem}.overlay.png", panels.png_of(image), "image/png"),
        ("Figure (PNG)", f"{stem}.figure.png", figure, "image/png"),
        ("Explanation (safetensors)", f"{stem}.safetensors", saved, "application/octet-stream"),
        ("Python lines", f"{stem}.py", lines.encode(), "text/x-python"),
    ]
    return panels.downloads(files) + panels.code(lines)


def comparison_panel(look: Look, found: Explanation, rival: Explanation, method: str, opacity: float) -> str:
    """A rival's map beside ours."""
    shown = []
    for one, words in ((found, "MDM"), (rival, method)):
        image = overlay(look.picture, one.saliency[0, 0].cpu().numpy(), opacity=opacity)
        caption = f"{words}: {int(one.forward_passes[0] + one.backward_passes[0])} passes, {one.seconds:.1f} s"
        shown.append(Picture(panels.png_of(image), f"map of {words} over the photo", caption))
    notes = [] if rival.degenerate[0] is None else [f"{method}: {rival.degenerate[0]}."]
    notes += [f"{method} used the {key} {value}." for key, value in rival.notes.items()]
    return panels.pictures(shown) + panels.paragraph(notes)


def _name(look: Look, found: Explanation) -> str:
    return class_name(look, found.target[0]) if found.target else found.objective


def _coloured(values: NDArray[np.float32]) -> Image.Image:
    """A map alone, from 0 to 1."""
    return Image.fromarray((matplotlib.colormaps[COLOURS](values)[..., :3] * 255).round().astype(np.uint8))
