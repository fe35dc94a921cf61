"""What is measured of one map of one prototype on one image."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskstack.datasets import GroundTruth
from maskstack.errors import InputError
from maskstack.metrics import area_under, energy_in_box, pointing_game
from maskstack.prototypes.metrics import PixelBox, iou_at, mass_box, peak_box
from maskstack.prototypes.network import PrototypeNetwork
from maskstack.prototypes.parts import Hits, parts_in
from maskstack.runs.rows import Measured
from maskstack.tensors import ranks

STEPS, KEEP, BATCH = 20, 0.9, 32
AREAS = tuple(mille / 1000 for mille in (*range(10, 201, 10), *range(225, 501, 25), *range(550, 1001, 50)))
"""Shares of the image to try, finer where a good map needs few pixels; the twentieths are among them."""

_EVEN = tuple(round(step / STEPS, 4) for step in range(STEPS + 1))

PASSES = 1 + (1 + len(AREAS)) + len(_EVEN)
"""Images sent forward to measure one map: the whole image, and those of :func:`activation_measures`."""

SIDES: Mapping[str, tuple[int, Callable[..., PixelBox]]] = {
    "consistency": (72, peak_box),
    "mass": (72, mass_box),
    "purity": (32, peak_box),
}
"""Side of each box in which parts are counted, in pixels of an input of 224, and the function that places it."""


@dataclass(frozen=True, eq=False)
class PrototypeOnImage:
    """An image and a prototype of its class.

    Attributes:
        network: ProtoPNet or XProtoNet.
        prototype: Its number.
        image: C x H x W, preprocessed for the network.
        fill: Values of hidden pixels, C x H x W.
        place: Where the prototypes are read on the unmasked image, 1 x P x h x w.
        truth: Boxes and parts in the network's pixels.
    """

    network: PrototypeNetwork
    prototype: int
    image: Tensor
    fill: Tensor
    place: Tensor
    truth: GroundTruth

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """The prototype's activation on N images, recomputed and at the unmasked image's position: N x 2."""
        readings = [self.network.readings(chunk, self.place) for chunk in torch.split(images, BATCH)]
        return torch.cat([torch.stack(both, dim=2)[:, self.prototype] for both in readings])


def activation_measures(tested: PrototypeOnImage, saliency: Tensor) -> list[Measured]:
    """Insertion, deletion and minimal sufficient area, with the activation recomputed and read at the fixed position.

    Each is computed from the share of the activation, s(masked) / s(image), while pixels are replaced in the map's
    order, equal values in reading order. Shares above 1 and below 0 are not clipped: a fill may raise an activation,
    and a cosine may be negative. One series of masked images serves both insertion and area, because :data:`AREAS`
    includes the steps of the insertion.

    Args:
        tested: The image and the prototype.
        saliency: H x W.

    Raises:
        InputError: The activation on the image is not above 0 or not finite, so shares of it are not defined.
    """
    whole = tested.scores(tested.image.unsqueeze(0))[0]
    if not bool(((whole > 0) & whole.isfinite()).all()):
        raise InputError(
            f"the prototype's activation on the image is {whole.min():.3g}; shares need a finite activation above 0"
        )
    rank = ranks(saliency)
    shown = _scores_between(tested, rank, tested.fill, tested.image, (0.0, *AREAS)) / whole
    hidden = _scores_between(tested, rank, tested.image, tested.fill, _EVEN) / whole
    even = [0, *(1 + AREAS.index(area) for area in _EVEN[1:])]
    found = []
    for column, reading in enumerate(("anew", "fixed")):
        for metric, curve in (("insertion", shown[even, column]), ("deletion", hidden[:, column])):
            found.append(_measured(f"{metric}_{reading}", float(area_under(curve)), curve, steps=STEPS))
        enough = (shown[1:, column] >= KEEP).tolist()
        area = AREAS[enough.index(True)] if any(enough) else 1.0
        found.append(_measured(f"area_{reading}", area, None, keep=KEEP))
    return found


def _scores_between(
    tested: PrototypeOnImage, rank: Tensor, start: Tensor, end: Tensor, areas: Sequence[float]
) -> Tensor:
    """Scores when these shares of the pixels have been replaced, from one image to the other: areas x 2."""
    counts = torch.tensor([round(area * rank.numel()) for area in areas])
    return tested.scores(torch.where(rank < counts.view(-1, 1, 1, 1), end, start))


def place_measures(tested: PrototypeOnImage, saliency: Tensor) -> list[Measured]:
    """Energy, pointing game and overlap with the object's boxes, and the share of the image that the boxes cover.

    They have no value if a box lies outside of the image.
    """
    if tested.truth.problem:
        return [Measured(name, None, failure=tested.truth.problem) for name in ("energy", "pointing", "iou")]
    inside = tested.truth.inside
    if not bool(inside.any()):
        return []
    share = {"share": round(tested.truth.share, 4)}
    return [
        Measured("energy", float(energy_in_box(saliency, inside)), share),
        Measured("pointing", float(pointing_game(saliency, inside)), share),
        Measured("iou", float(iou_at(saliency, inside)), {**share, "cut": 0.3}),
        Measured("box_share", tested.truth.share),
    ]


def part_measures(tested: PrototypeOnImage, saliency: Tensor, noisy: Tensor | None = None) -> list[Measured]:
    """The visible parts in the boxes around the maximum and around most of the map, also on the noisy image.

    The value is the share of the visible parts that lie in the box. The protocol has their names, from which
    consistency, purity and stability are computed.
    """
    if not tested.truth.parts:
        return []
    maps = {"": saliency} | ({} if noisy is None else {"_noisy": noisy})
    return [_hits(tested, values, kind, ending) for ending, values in maps.items() for kind in SIDES]


def hits_of(measured_protocol: str) -> Hits:
    """The visible parts and those in the box, from a row's protocol."""
    read: Mapping[str, Any] = json.loads(measured_protocol)
    return Hits(frozenset(read["visible"]), frozenset(read["hit"]))


def _hits(tested: PrototypeOnImage, saliency: Tensor, kind: str, ending: str) -> Measured:
    side = round(SIDES[kind][0] * min(saliency.shape) / 224)
    parts = tested.truth.parts
    hit = parts_in(SIDES[kind][1](saliency, side=side), parts)
    names = {"visible": sorted(parts), "hit": sorted(hit), "side": side}
    return Measured(f"parts_{kind}{ending}", len(hit) / len(parts), names)


def _measured(metric: str, value: float, curve: Tensor | None, **how: Any) -> Measured:
    return Measured(metric, value, {"fill": "mean", **how}, None if curve is None else tuple(curve.tolist()))


def measured(tested: PrototypeOnImage, saliency: Tensor, noisy: Tensor | None = None) -> list[Measured]:
    """All values of one map; what cannot be measured is a failure with its reason."""
    found = []
    try:
        found += activation_measures(tested, saliency)
    except InputError as error:
        names = [f"{metric}_{reading}" for reading in ("anew", "fixed") for metric in ("insertion", "deletion", "area")]
        found += [Measured(name, None, failure=str(error)) for name in names]
    return found + place_measures(tested, saliency) + part_measures(tested, saliency, noisy)
