"""The work of ``maskstack verify``: measure the numbers of a saved explanation again, by doing it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maskstack import objectives
from maskstack.errors import InputError
from maskstack.explanation import Explanation
from maskstack.jobs.photos import read_output
from maskstack.jobs.targets import JUDGED_BY
from maskstack.models import LoadedModel, check_spec_from_file, load_model, open_photo
from maskstack.models.levels import read_page, read_window
from maskstack.models.volumes import VolumePreprocess, open_volume
from maskstack.objectives import Objective
from maskstack.reliability.cuts import scores_over_fills, shares
from maskstack.reliability.fills import spread_colours
from maskstack.scoring import scoring
from maskstack.scoring.predict import class_probabilities
from maskstack.scoring.scored_model import ScoredModel
from maskstack.scoring.trust import trust

TOLERANCE = 0.01
"""Difference of two scores or shares that is put down to rounding and to another order of operations."""

MEANINGS: Mapping[str, str] = {
    "class_probability": "probability",
    "log_probability": "log_probability",
    "class_logit": "logit",
    "margin": "margin",
    "number": "probability",
}
"""What a class index means for each objective that can be made again from a file."""


@dataclass(frozen=True)
class Compared:
    """A number of an explanation, as it was saved and as it was measured now.

    Attributes:
        name: What the number is.
        saved: Its value in the file.
        measured: Its value now.
    """

    name: str
    saved: float
    measured: float

    @property
    def agrees(self) -> bool:
        """Whether both are the same up to rounding, or both are not defined."""
        if math.isnan(self.saved) or math.isnan(self.measured):
            return math.isnan(self.saved) and math.isnan(self.measured)
        return abs(self.saved - self.measured) <= TOLERANCE * max(1.0, abs(self.saved))


def verify(
    explanation: str | Path,
    photo: str | Path,
    *,
    model: str = "",
    page: str = "",
    window: str = "",
    allow_code: bool = False,
) -> list[Compared]:
    """Measure every number of a saved explanation's verdict, regions and contrast again.

    Args:
        explanation: What ``maskstack explain`` or ``Explanation.save`` wrote, of one image.
        photo: The photo, or the volume.
        model: Spec of the network; empty for the one that the file names.
        page: Page of the photo's file; empty for the one that the explanation was made with.
        window: Window of grey values; empty for the one that the explanation was made with.
        allow_code: Whether the file may name a network that runs code.

    Raises:
        InputError: A file cannot be read, the explanation does not belong to one photo, or its objective cannot be made
            again from a file.
        ModelError: The network cannot be loaded or run.
    """
    found = Explanation.load(explanation)
    if len(found) != 1:
        raise InputError(f"{explanation} holds {len(found)} images; verify takes the explanation of one photo")
    spec = model or found.notes.get("model", "")
    if not spec:
        raise InputError(f"{explanation} does not name its network; give it with --model")
    if not model:
        check_spec_from_file(spec, explanation, allow_code=allow_code)
    net = load_model(spec, output=read_output(found.notes.get("output", "")))
    page, window = page or found.notes.get("page", ""), window or found.notes.get("window", "")
    image = _image(net, photo, page, window).unsqueeze(0)
    if image.shape[2:] != found.saliency.shape[2:]:
        sizes = [" x ".join(map(str, size)) for size in (image.shape[2:], found.saliency.shape[2:])]
        raise InputError(
            f"the network takes images of {sizes[0]}, but the map is {sizes[1]}; give the map's own network"
        )
    return list(_compared(net, image, found))


def _image(net: LoadedModel, photo: str | Path, page: str, window: str) -> Tensor:
    """The network's input, C x H x W or C x D x H x W, from a file that is opened as for the explanation."""
    if isinstance(net.preprocess, VolumePreprocess):
        volume = open_volume(photo, window=read_window(window) if window else None)
        return net.preprocess(volume, window=bool(window))
    return net.preprocess(open_photo(photo, page=read_page(page), window=window or None))


def _compared(net: LoadedModel, image: Tensor, found: Explanation) -> Iterator[Compared]:
    goal = _objective(found)
    with scoring(net, image, goal) as scored:
        yield Compared("score", float(found.score_before[0]), float(scored.scores(scored.images)[0]))
        if found.regions is not None:
            yield from _regions(scored, found)
    measured = trust(net, image, found.stack, _objective(found, found.notes.get(JUDGED_BY, "")))
    for name in ("kept", "remaining"):
        for column, of in enumerate(("region", "map")):
            values = [float(getattr(each, name)[0, column]) for each in (found.trust, measured)]
            yield Compared(f"share of the score, {of} {'shown' if name == 'kept' else 'hidden'}", *values)
    if found.contrast is not None:
        yield from _contrast(net, image, found)


def _objective(found: Explanation, judged_by: str = "") -> Objective:
    """The objective that was explained, or another one of the same class."""
    if found.contrast is not None:
        return objectives.contrast(found.contrast.target, found.contrast.against)
    name = judged_by or found.objective
    if name not in MEANINGS or found.target is None:
        raise InputError(
            f"the explanation is of the objective {name}, which a file cannot hold; check it in Python with "
            "maskstack.trust and the objective"
        )
    return objectives.NAMED[MEANINGS[name]](list(found.target))


def _regions(scored: ScoredModel, found: Explanation) -> Iterator[Compared]:
    regions = found.regions
    assert regions is not None
    count = int(regions.count[0])
    masks = regions.masks[0, :count].to(scored.images.device)
    shown = torch.cat([torch.zeros_like(masks[:1]), masks, ~masks.any(dim=0, keepdim=True)]) if count else masks
    if not count:
        return
    each = scores_over_fills(scored.scores, scored.images[0], shown, 0)
    share = shares(each[1:], scored.scores(scored.images)[0], each[0])
    for number in range(count):
        yield Compared(f"region {number + 1} alone", float(regions.kept[0, number]), float(share[number].amin()))
    yield Compared("all regions hidden", float(regions.remaining[0]), float(share[count].amax()))


def _contrast(net: LoadedModel, image: Tensor, found: Explanation) -> Iterator[Compared]:
    contrast = found.contrast
    assert contrast is not None
    pair = [int(contrast.target[0]), int(contrast.against[0])]
    for name, saved, shown in (
        ("whole image", contrast.before, torch.ones_like(contrast.hiding)),
        ("region hidden", contrast.hidden, ~contrast.hiding),
        ("region alone", contrast.shown, contrast.speaking),
    ):
        if name == "region alone" and not contrast.speaking.any():
            continue
        visible = shown.unsqueeze(1).to(image.device)
        now = class_probabilities(net, torch.where(visible, image, spread_colours(image, visible)))[0]
        for letter, index, value in zip("AB", pair, saved[0].tolist(), strict=True):
            yield Compared(f"probability of class {letter}, {name}", value, float(now[index]))
