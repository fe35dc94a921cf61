"""Which page and which grey values of a file are shown is said on the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from maskstack.models import LoadedModel, open_photo
from maskstack.models.preprocess import Preprocess
from maskstack.web.reading import how_it_was_read, in_control, read_panel
from maskstack.web.sessions import PredictedPhoto

VALUES = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) * 6
"""Grey values of 12 bits."""


def predicted(path: Path) -> PredictedPhoto:
    net = LoadedModel(nn.Identity(), Preprocess((16, 16)), (), (16, 16), (0.0,), (1.0,), "", "")
    photo = open_photo(path)
    return PredictedPhoto.of(path.name, path, "net", net, net.preprocess(photo), torch.ones(1), photo)


def test_the_levels_of_a_deep_picture_are_said_beside_the_photo_as_it_was_read(tmp_path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "deep.png")
    shown = read_panel(predicted(tmp_path / "deep.png"))
    assert "How the file was read: values of 12 bits, 0 to 4095, are shown from black to white." in shown
    assert "<img " in shown


def test_the_page_of_several_is_said_with_a_remedy_that_the_user_has(tmp_path) -> None:
    first = Image.new("RGB", (30, 20), "red")
    first.save(tmp_path / "two.tif", save_all=True, append_images=[Image.new("RGB", (30, 20), "blue")])
    said = how_it_was_read(predicted(tmp_path / "two.tif").notes)
    assert said == "How the file was read: page 0 of pages 0 to 1 is used; maskstack explain --page shows another."


@pytest.mark.parametrize(("name", "drawn"), [("plain.png", False), ("plain.JPG", False), ("plain.tif", True)])
def test_an_ordinary_photo_is_drawn_only_if_the_browser_cannot(tmp_path, name, drawn) -> None:
    Image.new("RGB", (30, 20), "red").save(tmp_path / name)
    assert ("<img " in read_panel(predicted(tmp_path / name))) == drawn


@pytest.mark.parametrize(("name", "replaced"), [("plain.png", False), ("plain.tif", True)])
def test_the_control_of_the_photo_draws_what_the_browser_cannot(name, replaced) -> None:
    before, after = in_control("#photo", Path(name)), in_control("#photo", Path(name), Image.new("RGB", (30, 20)))
    assert ("#photo .image-frame img { opacity: 0; }" in before) == replaced
    assert "url(" not in before
    assert ('url("data:image/webp' in after) == replaced
