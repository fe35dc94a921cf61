"""What ``load_model`` returned can be explained with photos, file names and class names."""

import pytest
import torch
from PIL import Image
from torch import nn

from maskstack import HDM, MDM, InputError, LoadedModel, Node, sample_photos
from maskstack.explainers.controls import Control
from maskstack.models import Preprocess
from maskstack.samples import NAMES, sample_files
from maskstack.scoring.user_model import UserModel

CLASSES = ("tiger cat", "vulture", "espresso", "tripod")
QUICK = {"sizes": (2, 4), "steps": 2}


@pytest.fixture(scope="module")
def net() -> LoadedModel:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
    preprocess = Preprocess(size=(32, 32))
    return LoadedModel(body, preprocess, CLASSES, (32, 32), preprocess.mean, preprocess.std, "small", "random")


def test_names_that_are_numbers_are_names_and_an_index_beside_a_name_is_an_index(net) -> None:
    numbered = UserModel.of(net.model, meaning="logit", class_names=("1", "10", "2", "3"))
    assert numbered.classes("2") == 2
    assert numbered.classes(["10", 2]) == [1, 2]


def test_the_sample_photos_are_small_and_come_with_their_licences() -> None:
    assert [photo.mode for photo in sample_photos()] == ["RGB"] * 3
    assert sum(file.stat().st_size for file in sample_files()) < 200_000
    licences = (sample_files()[0].parent / "LICENSES.md").read_text()
    assert all(f"{name}.jpg" in licences for name in NAMES)


@pytest.mark.slow
def test_a_photo_a_file_and_the_tensor_give_the_same_map(net, tmp_path) -> None:
    photo, mdm = sample_photos()[1], MDM(net, **QUICK)
    photo.save(tmp_path / "photo.png")
    expected = mdm(net.preprocess(photo).unsqueeze(0), 2)
    for given in (photo, str(tmp_path / "photo.png"), tmp_path / "photo.png", [photo]):
        found = mdm(given, 2)
        torch.testing.assert_close(found.saliency, expected.saliency)
        assert found.geometry[0].photo == (400, 600)
        assert found.photo_map().shape == (400, 600)
    assert expected.geometry == ()
    assert expected.photo_map().shape == (32, 32)


def test_photos_of_several_sizes_are_a_batch(net) -> None:
    found = MDM(net, **QUICK)(sample_photos(), ["tiger cat", "espresso", "tripod"])
    assert found.target == (0, 2, 3)
    assert [place.photo for place in found.geometry] == [(300, 451), (400, 600), (512, 512)]
    assert found.select(1).geometry == found.geometry[1:2]


@pytest.mark.parametrize("explainer", [HDM, Control], ids=lambda kind: kind.__name__)
def test_every_explainer_takes_photos_and_names(explainer, net) -> None:
    made = HDM(net, benchmark=(2,), auxiliary=4, steps=2) if explainer is HDM else Control(net)
    found = made(sample_photos()[0], "vulture")
    assert found.target == (1,)
    assert found.target_name == ("vulture",)
    assert found.geometry


@pytest.mark.slow
def test_regions_contrasts_and_checks_take_photos_and_names(net) -> None:
    mdm, photo = MDM(net, **QUICK), sample_photos()[0]
    assert mdm.regions(photo, "vulture", count=1).geometry
    found = mdm.contrast(photo, "tiger cat", "vulture")
    assert found.contrast.target.tolist() == [0]
    assert found.contrast.against.tolist() == [1]
    explained = mdm(photo, "vulture")
    assert mdm.check(photo, explained, seeds=2).trust.seeds.shape == (1, 1)
    assert MDM(Node(net, "0"), objective="logit", **QUICK)(photo, 3).geometry


@pytest.mark.slow
def test_names_work_with_tensors_and_in_captums_convention(net) -> None:
    images = torch.rand(2, 3, 32, 32)
    mdm = MDM(net, **QUICK)
    assert mdm(images, "Tiger_Cat").target == (0, 0)
    assert mdm(images, ["vulture", "3"]).target == (1, 3)
    torch.testing.assert_close(mdm.attribute(images, target="vulture"), mdm.attribute(images, target=1))
    own = MDM(net.model, class_names=CLASSES, **QUICK)
    assert own(images, "tripod").target_name == ("tripod", "tripod")


def test_a_misspelt_name_gets_suggestions(net) -> None:
    with pytest.raises(InputError, match=r"there is no class named 'vultur'; did you mean vulture \(1\)\?"):
        MDM(net, **QUICK)(sample_photos()[0], "vultur")
    with pytest.raises(InputError, match="class names are unknown; give an index"):
        MDM(net.model, **QUICK)(torch.rand(1, 3, 32, 32), "vulture")


def test_a_bare_network_refuses_photos_in_a_sentence(net) -> None:
    for photo in (sample_photos()[0], "photo.jpg", [Image.new("RGB", (9, 9))]):
        with pytest.raises(InputError, match=r"give a tensor B x C x H x W, or load the network with load_model"):
            MDM(net.model, **QUICK)(photo)


@pytest.mark.slow
def test_an_explanation_is_one_line(net) -> None:
    found = MDM(net, **QUICK)(sample_photos() + sample_photos(), "vulture")
    assert "\n" not in repr(found)
    assert len(repr(found)) < 200
    assert repr(found).startswith("Explanation(mdm: 6 images of 32 x 32, vulture")
    named = LoadedModel(net.model, net.preprocess, ("two\nlines",) * 4, (32, 32), net.mean, net.std, "x", "x")
    assert "\n" not in repr(MDM(named, **QUICK)(sample_photos()[0], 1))


@pytest.mark.slow
def test_an_explanation_is_drawn_on_the_photo_it_was_made_from(net, tmp_path) -> None:
    photo = sample_photos()[1]
    photo.save(tmp_path / "photo.png")
    found = MDM(net, **QUICK)(photo, "espresso")
    for given in (photo, tmp_path / "photo.png"):
        assert found.overlay(given).size == photo.size
        (shown,) = [image for image in found.plot(given).axes[0].images if image.get_label() == "photo"]
        assert shown.get_array().shape == (400, 600, 4)
    assert found.overlay(net.picture(net.preprocess(photo))).size == (32, 32)
    with pytest.raises(InputError, match="give that photo"):
        found.overlay(sample_photos()[0])
