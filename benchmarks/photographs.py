"""Annotated photographs for the benchmarks: those of one half that the network classifies correctly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maskstack.datasets import AnnotationTransform, load_images
from maskstack.models import LoadedModel


@dataclass(frozen=True)
class Photograph:
    """A photograph that the network classifies correctly.

    Attributes:
        file: Name of its file.
        image: C x H x W, as the network takes it.
        inside: Union of the class's boxes after resize and crop, H x W booleans.
        boxes: The boxes themselves, x1, y1, x2, y2, N x 4.
        target: Its class.
    """

    file: str
    image: Tensor
    inside: Tensor
    boxes: Tensor
    target: int


def photographs(folder: Path, net: LoadedModel, *, half: str, count: int) -> list[Photograph]:
    """The first correctly classified photographs of one half of the sorted list.

    Args:
        folder: Annotated photographs, in any format of :func:`maskstack.datasets.load_images`.
        net: The network and its preprocessing.
        half: ``tuning`` (even positions) or ``reporting`` (odd ones).
        count: Number of photographs.
    """
    transform = AnnotationTransform(net.preprocess)
    found = []
    for annotated in load_images(folder, class_names=net.class_names).half(half):
        picture = annotated.open()
        image = net.preprocess(picture)
        with torch.no_grad():
            right = int(net.model(image.unsqueeze(0)).argmax()) == annotated.label
        if not right or annotated.label is None:
            continue
        truth = transform(annotated, picture)
        # A box that fills the picture, or that was cropped away, gives no information.
        if len(truth.boxes) and 0.03 < truth.share < 0.6:
            found.append(Photograph(annotated.name, image, truth.inside, truth.boxes, annotated.label))
            if len(found) == count:
                break
    return found
