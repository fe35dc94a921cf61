"""A file of the page opens the same explanation again, and other files are refused in one sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import to_tensor

from maskstack import MDM, Explanation
from maskstack.errors import InputError
from maskstack.explainers.table import make_explainer
from maskstack.files import file_digest
from maskstack.geometry import Geometry
from maskstack.models import LoadedModel
from maskstack.models.spec import assumed_norm
from maskstack.web.results import masks_panel, words_panel
from maskstack.web.saved import PICTURE, open_saved, with_picture
from maskstack.web.sessions import PredictedPhoto, Session


@pytest.fixture(scope="module")
def net() -> LoadedModel:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    return LoadedModel(body.eval(), lambda image: torch.empty(0), ("a", "b", "c"), (16, 16), (0.0,), (1.0,), "", "")


@pytest.fixture(scope="module")
def predicted(net) -> PredictedPhoto:
    photo = Image.linear_gradient("L").convert("RGB").resize((32, 24))
    place = Geometry((24, 32), (16, 16), (4.0, 0.0, 28.0, 24.0))
    tensor = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    return PredictedPhoto("my cat.jpg", Path("gone.jpg"), "mine", net, tensor, torch.ones(3) / 3, photo, place)


@pytest.fixture(scope="module")
def found(net, predicted) -> Explanation:
    mdm = MDM(net, preset="single", sizes=(3,), steps=2, patience=0)
    one = mdm(predicted.tensor.unsqueeze(0), 1)
    # The map belongs to a photo of twice the size of the picture that the page draws on.
    return dataclasses.replace(one, geometry=(predicted.geometry.scaled((48, 64)),))


def one_network(net):
    def get(name: str) -> LoadedModel:
        if name != "mine":
            raise InputError("this network is not offered here; choose one from the list")
        return net

    return get


def test_the_same_explanation_is_shown_on_the_same_photo(net, predicted, found, tmp_path) -> None:
    path = with_picture(found, predicted).save(tmp_path / "a.safetensors")
    again, opened = open_saved(path, "a.safetensors", "other", one_network(net), None)
    assert torch.equal(opened.saliency, found.saliency)
    assert (again.name, again.model, again.opened) == ("my cat.jpg", "mine", True)
    assert again.geometry == predicted.geometry
    difference = (torch.tensor(list(again.picture.getdata())) - torch.tensor(list(predicted.picture.getdata()))).abs()
    assert difference.float().mean() < 8


@pytest.mark.slow
def test_a_file_names_its_network_and_its_place_in_the_photo_at_its_own_size(net, predicted, found, tmp_path) -> None:
    photo = Image.linear_gradient("L").convert("RGB").resize((1600, 1200))
    net = dataclasses.replace(net, spec="timm:mine", preprocess=lambda image: to_tensor(image.resize((16, 16))))
    path = tmp_path / "a.png"
    photo.save(path)
    shown = PredictedPhoto.of("a.jpg", path, "mine", net, predicted.tensor, predicted.scores, photo)
    saved = with_picture(dataclasses.replace(found, geometry=()), shown)
    assert (saved.notes["model"], saved.notes["photo"]) == ("timm:mine", "a.jpg")
    assert saved.notes["photo_sha256"] == file_digest(path)
    assert saved.geometry == (net.geometry(photo),)
    assert saved.geometry[0].photo == (1200, 1600)


def test_a_file_without_a_picture_is_drawn_on_the_photo_of_the_page_or_on_grey(net, predicted, found, tmp_path) -> None:
    path = found.save(tmp_path / "a.safetensors")
    on_photo, _ = open_saved(path, "a.safetensors", "mine", one_network(net), predicted)
    assert on_photo.picture.tobytes() == predicted.picture.tobytes()
    on_grey, _ = open_saved(path, "a.safetensors", "mine", one_network(net), None)
    assert on_grey.picture.size == (64, 48)
    assert on_grey.picture.getcolors() == [(64 * 48, (128, 128, 128))]


def test_the_words_say_what_was_assumed_about_the_network(predicted, found) -> None:
    assert "norm= was not given" not in words_panel(predicted, found, Session())
    unsure = dataclasses.replace(predicted, net=dataclasses.replace(predicted.net, assumed=assumed_norm({})))
    assert "norm= was not given" in words_panel(unsure, found, Session())


def test_the_photo_of_the_page_is_used_if_the_file_explains_it(net, predicted, found, tmp_path) -> None:
    current = dataclasses.replace(predicted, notes={"model": "timm:mine", "photo_sha256": "12ab"})
    path = with_picture(found, current).save(tmp_path / "a.safetensors")

    def opened(current: PredictedPhoto) -> PredictedPhoto:
        return open_saved(path, "a.safetensors", "mine", one_network(net), current)[0]

    assert (opened(current).path, opened(current).missing) == (current.path, "")
    for change in ({"photo_sha256": "34cd"}, {"model": "bundled"}, {"levels": "page 3"}):
        other = dataclasses.replace(current, notes={**current.notes, **change})
        assert "choose my cat.jpg and the explained network" in opened(other).missing


@pytest.mark.parametrize("picture", ["no base64!", "aGVsbG8=", "A" * 3_000_000])
def test_a_damaged_picture_is_one_sentence(picture, net, found, tmp_path) -> None:
    path = dataclasses.replace(found, notes={PICTURE: picture}).save(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"the picture in mine\.safetensors is damaged"):
        open_saved(path, "mine.safetensors", "mine", one_network(net), None)


def test_only_methods_that_learn_masks_have_a_mask_of_each_size(net, predicted, found) -> None:
    assert "<img" in masks_panel(found)
    other = make_explainer("gradcam", net)(predicted.tensor.unsqueeze(0), 1)
    assert "Grad-CAM has no masks of several sizes." in masks_panel(other)


def test_another_file_is_one_sentence_with_the_users_name(net, tmp_path) -> None:
    path = tmp_path / "hash.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"mine\.safetensors") as caught:
        open_saved(path, "mine.safetensors", "mine", one_network(net), None)
    assert str(tmp_path) not in str(caught.value)
