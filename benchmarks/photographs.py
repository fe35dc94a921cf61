"""Annotated ImageNet photographs for the benchmarks: file, class and boxes from one CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from maskstack.models import LoadedModel, open_photo


@dataclass(frozen=True)
class Photograph:
    """A photograph that the network classifies correctly.

    Attributes:
        file: Name of its file.
        image: C x H x W, as the network takes it.
        inside: Union of the class's boxes after resize and crop, H x W booleans.
        target: Its class.
    """

    file: str
    image: Tensor
    inside: Tensor
    target: int


def photographs(folder: Path, net: LoadedModel, *, half: str, count: int) -> list[Photograph]:
    """The first correctly classified photographs of one half of the sorted list.

    Args:
        folder: Holds ``annotations.csv`` and ``images/``.
        net: The network and its preprocessing.
        half: ``tuning`` (even positions) or ``reporting`` (odd ones).
        count: Number of photographs.
    """
    with (folder / "annotations.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    found = []
    for photo in _right(rows[{"tuning": 0, "reporting": 1}[half] :: 2], folder, net):
        found.append(photo)
        if len(found) == count:
            break
    return found


def _right(rows: list[dict[str, str]], folder: Path, net: LoadedModel) -> Iterator[Photograph]:
    for row in rows:
        picture = open_photo(folder / "images" / row["file"])
        image = net.preprocess(picture)
        target = int(row["class_index"])
        with torch.no_grad():
            if int(net.model(image.unsqueeze(0)).argmax()) != target:
                continue
        inside = _inside(json.loads(row["boxes_xyxy"]), picture, net)
        # A box that fills the picture, or that was cropped away, gives no information.
        if 0.03 < inside.float().mean() < 0.6:
            yield Photograph(row["file"], image, inside, target)


def _inside(boxes: list[list[float]], picture: Image.Image, net: LoadedModel) -> Tensor:
    """Draw the boxes as a picture and preprocess it like the photograph, so that the geometry is not coded twice."""
    drawn = Image.new("L", picture.size)
    for x1, y1, x2, y2 in boxes:
        drawn.paste(255, (round(x1), round(y1), round(x2), round(y2)))
    image = net.preprocess(drawn.convert("RGB"))
    white = net.preprocess(Image.new("RGB", picture.size, "white"))
    black = net.preprocess(Image.new("RGB", picture.size))
    return image[0] > (white[0] + black[0]) / 2
