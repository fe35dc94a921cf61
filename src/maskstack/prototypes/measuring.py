"""What is measured of one map of one prototype on one image: rows as the leaderboard's store keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskstack.datasets import Truth
from maskstack.errors import InputError
from maskstack.leaderboard.measures import Measured
from maskstack.metrics import area_under, energy_in_box, pointing_game
from maskstack.prototypes.metrics import activation_curve, iou_at, minimal_sufficient_area, peak_box
from maskstack.prototypes.network import PrototypeNetwork
from maskstack.prototypes.parts import Hits, parts_in

STEPS = 20
SIDES = {"consistency": 72, "purity": 32}
"""Sides of the boxes round the map's maximum, in pixels of an input of 224."""


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and a prototype of its class.

    Attributes:
        network: ProtoPNet or XProtoNet.
        prototype: Its number.
        image: C x H x W, as the network takes it.
        fill: What hidden pixels show, C x H x W.
        place: Where the prototype is read on the image as it is, 1 x P x h x w.
        truth: Boxes and parts in the network's pixels.
    """

    network: PrototypeNetwork
    prototype: int
    image: Tensor
    fill: Tensor
    place: Tensor
    truth: Truth

    def score(self, *, fixed: bool) -> Callable[[Tensor], Tensor]:
        """The prototype's activation on N images, read anew in each or at the place of the image as it is."""
        place = self.place if fixed else None

        @torch.no_grad()
        def read(images: Tensor) -> Tensor:
            return self.network.activations(images, place)[:, self.prototype]

        return read


def activation_measures(pair: Pair, saliency: Tensor) -> list[Measured]:
    """Insertion, deletion and minimal sufficient area, with the activation read anew and at the fixed place."""
    found = []
    for reading in ("anew", "fixed"):
        score = pair.score(fixed=reading == "fixed")
        for metric, insert in (("insertion", True), ("deletion", False)):
            curve = activation_curve(score, pair.image, saliency, pair.fill, insert=insert, steps=STEPS)
            found.append(_measured(f"{metric}_{reading}", float(area_under(curve)), curve, steps=STEPS))
        area = minimal_sufficient_area(score, pair.image, saliency, pair.fill)
        found.append(_measured(f"area_{reading}", area, None, keep=0.9))
    return found


def place_measures(pair: Pair, saliency: Tensor) -> list[Measured]:
    """Energy, pointing and overlap with the object's boxes, each beside the share of the image they take."""
    inside = pair.truth.inside
    if not bool(inside.any()):
        return []
    share = {"share": round(pair.truth.share, 4)}
    return [
        Measured("energy", float(energy_in_box(saliency, inside)), share),
        Measured("pointing", float(pointing_game(saliency, inside)), share),
        Measured("iou", float(iou_at(saliency, inside)), {**share, "cut": 0.3}),
        Measured("box_share", pair.truth.share),
    ]


def part_measures(pair: Pair, saliency: Tensor, noisy: Tensor | None = None) -> list[Measured]:
    """Which visible parts lie in the boxes round the maximum; on the noisy image too, for stability.

    The value is the share of the visible parts that lie in the box; the names, of which consistency, purity and
    stability are made, lie in the protocol.
    """
    if not pair.truth.parts:
        return []
    maps = {"": saliency} | ({} if noisy is None else {"_noisy": noisy})
    return [_hits(pair, values, kind, ending) for ending, values in maps.items() for kind in SIDES]


def hits_of(measured_protocol: str) -> Hits:
    """The parts that a row's protocol names."""
    read: Mapping[str, Any] = json.loads(measured_protocol)
    return Hits(frozenset(read["visible"]), frozenset(read["hit"]))


def _hits(pair: Pair, saliency: Tensor, kind: str, ending: str) -> Measured:
    side = round(SIDES[kind] * min(saliency.shape) / 224)
    parts = pair.truth.parts
    hit = parts_in(peak_box(saliency, side=side), parts)
    names = {"visible": sorted(parts), "hit": sorted(hit), "side": side}
    return Measured(f"parts_{kind}{ending}", len(hit) / len(parts), names)


def _measured(metric: str, value: float, curve: Tensor | None, **how: Any) -> Measured:
    return Measured(metric, value, {"fill": "mean", **how}, None if curve is None else tuple(curve.tolist()))


def measured(pair: Pair, saliency: Tensor, noisy: Tensor | None = None) -> list[Measured]:
    """Everything of one map; what cannot be measured comes as a failure with its reason."""
    found = []
    try:
        found += activation_measures(pair, saliency)
    except InputError as error:
        names = [f"{metric}_{reading}" for reading in ("anew", "fixed") for metric in ("insertion", "deletion", "area")]
        found += [Measured(name, None, failure=str(error)) for name in names]
    return found + place_measures(pair, saliency) + part_measures(pair, saliency, noisy)
