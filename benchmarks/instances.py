"""How many instances of a class a map finds, on photographs that hold several: the table of ``docs/method.md``.

    python -m benchmarks.instances FOLDER [--methods mdm hdm ...]

FOLDER holds annotated images, as for ``maskstack bench``. The benchmark uses all photographs that the bundled network
classifies correctly and that have at least two boxes. In the network's input, the boxes must not overlap, and each must
be at least 12 pixels wide and high.

An instance counts as found *by height* if a tenth of its box has at least half of the map's maximum. It counts as found
*by area* if a tenth of its box is among the highest 20% of the map's pixels; a map that is high everywhere gains
nothing by this measure.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maskstack import MDM, Explanation, load_model
from maskstack.datasets import Box, load_images, transform_annotations
from maskstack.explainers.table import make_explainer
from maskstack.models import LoadedModel

SIDE = 12
"""Minimum width and height of a box in pixels."""

IN_BOX, HEIGHT, AREA = 0.1, 0.5, 0.2
"""Share of a box that must be high; the threshold as a share of the map's maximum; the share of the highest pixels."""


@dataclass(frozen=True, eq=False)
class Group:
    """A photograph of several instances of its class.

    Attributes:
        name: Name of its file.
        image: C x H x W, as the network takes it.
        target: Its class, which the network predicts.
        boxes: Left, top, right, bottom of each instance, T x 4, in pixels of the network's input.
    """

    name: str
    image: Tensor
    target: int
    boxes: Tensor


def groups(folder: Path, net: LoadedModel, *, names: Collection[str] = ()) -> Iterator[Group]:
    """The correctly classified photographs with several separate instances; only those with these names, if given."""
    for annotated in load_images(folder, class_names=net.class_names).images:
        if names and annotated.name not in names:
            continue
        if len(annotated.boxes) < 2 or annotated.label is None or not _apart(annotated.boxes):
            continue
        picture = annotated.open()
        image = net.preprocess(picture)
        with torch.no_grad():
            right = int(net.model(image.unsqueeze(0)).argmax()) == annotated.label
        if not right:
            continue
        boxes = transform_annotations(annotated, picture, net.preprocess).boxes
        sides = boxes[:, 2:] - boxes[:, :2]
        if len(boxes) == len(annotated.boxes) and sides.min() >= SIDE and _apart(boxes.tolist()):
            yield Group(annotated.name, image, annotated.label, boxes.round().long())


def by_height(saliency: Tensor, boxes: Tensor) -> list[bool]:
    """For each box, whether a tenth of it is at least half as high as the map's maximum: H x W and T x 4."""
    return _found(saliency >= HEIGHT * saliency.max(), boxes)


def by_area(saliency: Tensor, boxes: Tensor) -> list[bool]:
    """For each box, whether a tenth of it is among the highest fifth of the map's pixels: H x W and T x 4."""
    return _found(saliency > saliency.flatten().quantile(1 - AREA), boxes)


def _found(bright: Tensor, boxes: Tensor) -> list[bool]:
    shares = [bright[top:bottom, left:right].float().mean() for left, top, right, bottom in boxes.tolist()]
    return [bool(share >= IN_BOX) for share in shares]


def _apart(boxes: list[Box] | tuple[Box, ...]) -> bool:
    return not any(
        min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])
        for a, b in itertools.combinations(boxes, 2)
    )


def row(method: str, net: LoadedModel, photographs: list[Group]) -> str:
    """A line of the table."""
    explainer = _regions(net) if method == "regions" else make_explainer(method, net)
    every, instances, passes = {"height": 0, "area": 0}, {"height": 0, "area": 0}, 0
    inside = 0.0
    for photograph in photographs:
        found = explainer(photograph.image.unsqueeze(0), photograph.target)
        passes += int(found.forward_passes.sum())
        saliency = found.saliency[0, 0]
        if found.regions is not None:  # the regions first, in the order of the map, then the rest of the map
            saliency = (saliency + found.regions.masks[0].any(dim=0).float()) / 2
        for name, judge in (("height", by_height), ("area", by_area)):
            hits = judge(saliency, photograph.boxes)
            every[name] += all(hits)
            instances[name] += sum(hits)
        bright = saliency >= HEIGHT * saliency.max()
        held = torch.zeros_like(bright)
        for left, top, right, bottom in photograph.boxes.tolist():
            held[top:bottom, left:right] = True
        inside += float((bright & held).sum() / bright.sum()) / len(photographs)
    cells = [f"{every[name]} | {instances[name]}" for name in ("height", "area")]
    return f"| {method} | {' | '.join(cells)} | {inside:.2f} | {passes / len(photographs):.0f} |"


def _regions(net: LoadedModel) -> Callable[..., Explanation]:
    return MDM(net).regions


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    methods = ["mdm", "regions", "hdm", "gradcam", "centre", "random"]
    parser.add_argument("--methods", nargs="+", default=methods)
    options = parser.parse_args()
    net = load_model("bundled")
    photographs = list(groups(options.folder, net))
    total = sum(len(photograph.boxes) for photograph in photographs)
    print(f"{len(photographs)} photographs, {total} instances\n")
    print("| method | all, by height | instances | all, by area | instances | bright part in boxes | forward passes |")
    print("|---" * 7 + "|")
    for method in options.methods:
        print(row(method, net, photographs), flush=True)


if __name__ == "__main__":
    main()
