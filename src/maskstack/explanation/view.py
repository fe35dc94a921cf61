"""How an explanation shows itself: the words, the region and the photo of each picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError
from maskstack.geometry import LITTLE, Geometry, of_photo
from maskstack.models.inputs import upright
from maskstack.reliability.verdict import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from maskstack.explanation.explanation import Explanation


REGION_VALUE, CORE_VALUE = 0.5, 0.9
"""Values of the map from which on a pixel belongs to the region, and to its core."""

NOT_MEASURED = "not measured"
"""The word of a verdict that no picture shows."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """What a picture of one image's explanation shows.

    Attributes:
        saliency: Map, H x W in [0, 1].
        region: The region, H x W: where the mask is at least half open, or all regions if several were found.
        core: Its core, H x W: where the mask is nearly open, or the first of several regions; None if there is none.
        spread: Standard deviation of the members' masks, H x W; None for a single member.
        title: The class and its score.
        word: The verdict; empty if nothing was measured.
        sentence: Why, in one sentence.
        outlined: What the outline surrounds, in a word or two.
        keeps: What keeps which share of the score, in words; empty if it is not known. For a map it is the number of
            its verdict, see :attr:`maskstack.reliability.verdict.Numbers.kept`; the outlined part alone is unmeasured.
        hidden: What remains of the score with the regions hidden, in words; empty if the outline is not of regions.
    """

    saliency: NDArray[np.float32]
    region: NDArray[np.bool_]
    core: NDArray[np.bool_] | None
    spread: NDArray[np.float32] | None
    title: str
    word: str
    sentence: str
    outlined: str = "strongest part"
    keeps: str = ""
    hidden: str = ""

    def share(self, place: Geometry | None) -> float:
        """Share of the photo, or of the network's input where there is no photo, that the region covers."""
        if place is None:
            return float(self.region.mean())
        return float(place.scaled(place.drawn).carry_back(self.region.astype(np.float32)).mean())

    def lines(self, place: Geometry | None) -> list[str]:
        """Lines for a picture, the most important first."""
        keeps = f"; {self.keeps}" if self.keeps else ""
        return [self.title, f"{self.outlined} {of_photo(self.share(place))}{keeps}"]


def shown(found: Explanation, row: int) -> Shown:
    """What a picture of an explanation's image shows; of a volume, the slice whose map is highest on average.

    Args:
        found: The explanation.
        row: Index of the image.

    Raises:
        InputError: There is no such image.
    """
    one = found.select(row)
    saliency = one.saliency[0, 0].detach().float().cpu()
    spread = one.spread[0, 0].float().cpu().numpy()
    verdict = one.trust.verdict(0)
    region, core = _regions(one, saliency)
    several = 0 if one.regions is None else int(one.regions.count[0])
    place = _strongest(saliency)
    spread = spread[place]
    return Shown(
        saliency=saliency[place].numpy(),
        region=region[place].numpy(),
        core=None if core is None else core[place].numpy(),
        spread=spread if spread.any() else None,
        title=title(one),
        word="" if verdict.word == NOT_MEASURED else verdict.word,
        sentence=verdict.sentence,
        outlined="strongest part" if not several else "region" if several == 1 else f"{several} regions",
        keeps=_keeps(one, several),
        hidden=_hidden(one, several),
    )


def _strongest(saliency: Tensor) -> tuple[int, ...]:
    """Index of the slice of a volume whose map is highest on average; nothing for an image."""
    if saliency.ndim == 2:
        return ()
    means = saliency.mean(dim=(-2, -1))
    return tuple(int(each) for each in np.unravel_index(int(means.argmax()), tuple(means.shape)))


def _regions(one: Explanation, saliency: Tensor) -> tuple[Tensor, Tensor | None]:
    """The region to outline and its core, H x W booleans."""
    if one.regions is not None and one.regions.count[0] > 0:
        return one.regions.masks[0].any(dim=0).cpu(), one.regions.masks[0, 0].cpu()
    core = saliency >= CORE_VALUE
    return saliency >= REGION_VALUE, core if core.any() else None


def _keeps(one: Explanation, several: int) -> str:
    """What keeps which share of the score: the map, or each of several regions by itself."""
    if one.regions is None or not several:
        kept = one.trust.numbers(0).kept
        return "" if kept is None else f"the map keeps {percent(kept)}"
    shares = one.regions.kept[0, :several]
    least, most = percent(float(shares.min())), percent(float(shares.max()))
    alone = least if least == most else f"{least} to {most}"
    return f"{'it' if several == 1 else 'each'} alone keeps {alone}"


def _hidden(one: Explanation, several: int) -> str:
    """What remains of the score with all regions hidden."""
    if one.regions is None or not several:
        return ""
    remaining = percent(float(one.regions.remaining[0]))
    return f"with {'it' if several == 1 else 'all'} hidden, {remaining} remains"


def title(one: Explanation) -> str:
    """Name and score of what an explanation's first image is explained for."""
    name = class_title(one, 0)
    score = float(one.score_before[0])
    if one.objective == "class_probability":
        return f"{name} {score:.0%}"
    return f"{name}: {one.objective.removeprefix('class_')} {score:.3g}"


def class_title(found: Explanation, row: int) -> str:
    """Name of the class that was explained, or of the objective."""
    if found.target_name:
        return found.target_name[row]
    return found.objective if found.target is None else f"class {found.target[row]}"


def on_photo(found: Explanation, row: int, image: Any) -> tuple[Any, Geometry | None]:
    """An image to draw on, and the geometry of the map in it.

    Args:
        found: The explanation.
        row: Index of the image.
        image: The photo, the name of its file, or what the network saw.

    Raises:
        InputError: It is a list of photos, or the photo cannot be read.
    """
    if isinstance(image, list | tuple) and any(isinstance(each, str | Path | Image.Image) for each in image):
        raise InputError(f"a picture shows one photo, not a list of {len(image)}; give one, with its index as row=")
    if isinstance(image, str | Path | Image.Image):
        image = upright(image)
    place = found.geometry[row] if found.geometry else None
    if place is None:
        return image, None
    size = (image.height, image.width) if isinstance(image, Image.Image) else tuple(np.shape(image)[:2])
    # What the network saw may be given instead; if the photo has the same size, the photo is meant.
    return image, None if size == place.size and size != place.photo else place


def overlay(found: Explanation, image: Any, *, row: int = 0, badge: bool = True, **options: Any) -> Image.Image:
    """Draw an explanation's image over its photo, see :func:`maskstack.draw.overlay.overlay`."""
    from maskstack.draw.overlay import overlay as draw  # matplotlib is loaded only to draw

    what = shown(found, row)
    photo, place = on_photo(found, row, image)
    words = what.lines(place)
    return draw(
        photo,
        what.saliency,
        geometry=place,
        region=what.region,
        core=what.core,
        word=what.word,
        lines=words,
        badge=badge,
        **options,
    )


def figure(
    found: Explanation, image: Any, *, row: int, heading: str | None, grids: bool, options: dict[str, Any]
) -> Figure:
    """Draw an explanation's image in one row, see :func:`maskstack.draw.figure.explanation_figure`."""
    from maskstack.draw.figure import Caption, explanation_figure  # matplotlib is loaded only to draw

    what = shown(found, row)
    photo, place = on_photo(found, row, image)
    keeps = f"; {what.keeps} of the score" if what.keeps else ""
    # The words on regions say themselves that each is shown alone.
    alone, hidden = (what.outlined, f"; {what.hidden}") if what.hidden else (f"{what.outlined} alone", "")
    seen = "" if place is None or place.seen_share >= LITTLE else f"; the network saw {of_photo(place.seen_share)}"
    caption = Caption(
        title=what.title if heading is None else heading,
        word=what.word,
        sentence=what.sentence,
        region=f"{what.outlined}: {of_photo(what.share(place))} of the {'image' if place is None else 'photo'}{seen}",
        masked=f"{alone}{keeps}{hidden}",
    )
    place_of_slice = _strongest(found.saliency[row, 0])
    several = [mask[place_of_slice] for mask in found.masks[row]] if grids else []
    masks = torch.stack(several).float().cpu().numpy() if several else None
    return explanation_figure(
        photo,
        saliency=what.saliency,
        geometry=place,
        region=what.region,
        core=what.core,
        spread=what.spread,
        masks=masks,
        sizes=[(grid.shape[-2], grid.shape[-1]) for grid in found.grids] if grids and found.masks.shape[1] else [],
        caption=caption,
        **options,
    )
