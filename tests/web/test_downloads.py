"""The overlay that the page offers has the photo's own size, or says why it is smaller."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from maskstack import MDM, Explanation
from maskstack.models import LoadedModel, open_photo
from maskstack.models.preprocess import Preprocess
from maskstack.web.downloads import LARGEST, overlay_file
from maskstack.web.sessions import SIDE, PredictedPhoto


@pytest.fixture(scope="module")
def net() -> LoadedModel:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    return LoadedModel(body.eval(), Preprocess((16, 16)), ("a", "b", "c"), (16, 16), (0.0,), (1.0,), "", "")


def explained(net: LoadedModel, path: Path, size: tuple[int, int]) -> tuple[PredictedPhoto, Explanation]:
    Image.linear_gradient("L").convert("RGB").resize(size).save(path)
    photo = open_photo(path)
    tensor = net.preprocess(photo)
    predicted = PredictedPhoto.of(path.name, path, "net", net, tensor, torch.ones(3) / 3, photo)
    return predicted, MDM(net, preset="single", sizes=(3,), steps=2, patience=0)(tensor[None], 1)


@pytest.mark.parametrize("size", [(90, 60), (SIDE + 100, 500), (500, LARGEST)])
def test_the_overlay_has_the_photos_own_size(net, tmp_path, size) -> None:
    drawn, said = overlay_file(*explained(net, tmp_path / "a.jpg", size), 0.3)
    assert (drawn.size, said) == (size, "")


def test_the_overlay_of_a_larger_photo_has_a_limit_that_is_said(net, tmp_path) -> None:
    drawn, said = overlay_file(*explained(net, tmp_path / "a.jpg", (LARGEST * 2, 600)), 0.3)
    assert drawn.size == (LARGEST, 300)
    assert said == "The overlay has 2400 x 300 of the photo's 4800 x 600 pixels: maskstack explain draws more."


def test_without_the_photos_file_the_overlay_is_that_of_the_page(net, tmp_path) -> None:
    predicted, found = explained(net, tmp_path / "a.jpg", (SIDE * 2, 600))
    predicted.path.unlink()
    drawn, said = overlay_file(predicted, found, 0.3)
    assert drawn.size == (SIDE, 300)
    assert said.endswith("the photo's own file is not on the page any more; choose the photo again.")
