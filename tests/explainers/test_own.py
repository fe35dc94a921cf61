"""A method of the user's own: a function from a score and an image to a map."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.small import network, photos

from maskstack.cli.main import main
from maskstack.errors import InputError, ModelError
from maskstack.explainers.own import OwnMethod
from maskstack.explainers.table import make_explainer

MINE = """
import torch

def gradient(score, image, power=1):
    leaf = image.clone().requires_grad_()
    (found,) = torch.autograd.grad(score(leaf).sum(), leaf)
    return found.abs().amax(dim=1) ** power
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    return "python:mine.py:gradient"


def test_a_function_in_a_file_is_a_method(mine: str) -> None:
    net, images = network().eval(), photos(2)
    found = make_explainer(f"{mine}:power=2:objective=logit", net)(images, [1, 2])
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf)[[0, 1], [1, 2]].sum(), leaf)
    wanted = gradient.abs().amax(dim=1, keepdim=True) ** 2
    wanted = (wanted - wanted.amin(dim=(2, 3), keepdim=True)) / (
        wanted.amax(dim=(2, 3), keepdim=True) - wanted.amin(dim=(2, 3), keepdim=True)
    )
    torch.testing.assert_close(found.saliency, wanted, atol=1e-5, rtol=0)
    assert (found.method, found.objective, found.settings["power"]) == (mine, "class_logit", 2)
    assert found.target == (1, 2)
    assert (found.forward_passes.tolist(), found.backward_passes.tolist()) == ([3, 3], [1, 1])


@pytest.mark.parametrize(
    "give",
    [
        lambda values: values, lambda values: values[None], lambda values: values[None, None],
        lambda values: values.numpy(), lambda values: values.double(), lambda values: values.requires_grad_(),
    ],
    ids=["H x W", "1 x H x W", "1 x 1 x H x W", "array", "double", "with a gradient"],
)  # fmt: skip
def test_maps_may_be_given_in_any_usual_form(give) -> None:
    values = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    found = OwnMethod(network(), lambda _score, _image: give(values.clone()))(photos(1), 1).saliency
    assert found.shape == (1, 1, *photos(1).shape[2:])
    assert (float(found.min()), float(found.max())) == (0, 1)


def test_random_maps_are_the_same_alone_and_in_company() -> None:
    def noise(_score, image):
        return torch.rand(5, 5) + float(np.random.rand()) * image.mean()

    own, images = OwnMethod(network(), noise), photos(3)
    before = torch.get_rng_state()
    batch = own(images, 1).saliency
    torch.testing.assert_close(own(images[2:], 1).saliency, batch[2:])
    assert torch.equal(torch.get_rng_state(), before)


def test_what_it_does_to_the_network_is_undone() -> None:
    net = network().train()

    def careless(score, image):
        score.inner.train()
        for parameter in score.inner.parameters():
            parameter.grad = torch.ones_like(parameter)
        score.inner.register_forward_hook(lambda *_: None)
        return image[0].mean(dim=0)

    OwnMethod(net, careless)(photos(1), 1)
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net._forward_hooks


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (lambda: torch.rand(3, 8, 8), "a map of 3 x 8 x 8 for one image; return height x width"),
        (lambda: torch.tensor(1.0), "a map of a number"),
        (lambda: torch.rand(0, 4), "a map of 0 x 4"),
        (lambda: None, "return a tensor or an array"),
    ],
)
def test_what_is_no_map_is_refused(returned, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        OwnMethod(network(), lambda _score, _image: returned(), name="mine")(photos(1), 1)


def test_its_errors_are_said() -> None:
    with pytest.raises(ModelError, match="mine failed with ZeroDivisionError"):
        OwnMethod(network(), lambda _score, _image: 1 / 0, name="mine")(photos(1), 1)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("python:mine.py", "does not name a function; write python:FILE:FUNCTION"),
        ("python:mine.py:power=2", "does not name a function"),
        ("python:mine.py:missing", "mine.py has no function missing"),
        ("python:none.py:gradient", "none.py cannot be imported"),
        ("python:mine.py:gradient:powr=2", "settings powr, which it does not take"),
        ("python:mine.py:gradient:power", "write options as"),
    ],
)
def test_a_wrong_name_or_setting_is_said_before_the_start(mine: str, spec: str, sentence: str) -> None:
    assert mine
    with pytest.raises(InputError, match=sentence):
        make_explainer(spec, network())


def test_its_settings_may_also_be_keywords(mine: str) -> None:
    found, spelt = make_explainer(mine, network(), power=2), make_explainer(f"{mine}:power=2", network())
    assert found.settings == spelt.settings
    assert found.settings["power"] == 2


@pytest.mark.slow
def test_a_gallery_makes_the_maps_of_a_changed_function_again(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    Image.effect_noise((40, 40), 60).convert("RGB").save("photo.png")
    Path("nets.py").write_text("from tests.small import network\n")
    arguments = ["gallery", "photo.png", "--model", "net=python:nets.py:network,size=32"]
    arguments += ["--method", mine, "--method", "centre"]
    assert main([*arguments, "--out", "g"]) == 0
    capsys.readouterr()
    assert main([*arguments, "--out", "g", "--resume"]) == 0
    assert "0 maps, 2 already done" in capsys.readouterr().out
    Path("mine.py").write_text(MINE.replace("abs()", "square()"))
    assert main([*arguments, "--out", "g", "--resume"]) == 0
    assert "1 map, 1 already done" in capsys.readouterr().out


def test_the_list_of_methods_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    assert "python:FILE:FUNCTION" in capsys.readouterr().out
