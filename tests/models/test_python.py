import sys

import pytest

from maskstack import MDM
from maskstack.errors import InputError, ModelError
from maskstack.models import load_model
from maskstack.models.timing import pass_seconds

SOURCE = """
from torch import nn
from maskstack.models import LoadedModel, Preprocess, loaded

def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

def whole():
    return loaded(build(), Preprocess(size=(16, 24)), spec="", weights="mine", class_names=("r", "g", "b"))

def wrong():
    return "a network"

def failing():
    raise KeyError("weights")

def deaf():
    class Deaf(nn.Module):
        def forward(self, images):
            return images.detach().mean(dim=(2, 3))
    return Deaf()

def in_place():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = build()
        def forward(self, images):
            return self.net(images.sub_(0.5).div_(0.2))
    return InPlace()

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(SOURCE)
    (tmp_path / "broken_networks.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_networks"
    sys.modules.pop("my_networks", None)


def test_a_network(module, photo):
    model = load_model(f"python:{module}:build,size=32,channels=1")
    assert model.preprocess(photo).shape == (1, 32, 32)
    assert (model.weights, model.class_names) == ("my_networks:build", ())


def test_a_network_that_changes_its_images_in_place(module, photo):
    model = load_model(f"python:{module}:in_place,size=32")
    images = model.preprocess(photo).unsqueeze(0)
    assert MDM(model, preset="fast", steps=1, sizes=3)(images, 1).target == (1,)
    assert min(pass_seconds(model.model, images)) > 0


def test_a_file(module, tmp_path):
    assert load_model(f"python:{tmp_path / 'my_networks.py'}:build").input_size == (224, 224)


def test_a_loaded_model(module):
    model = load_model(f"python:{module}:whole")
    assert (model.class_names, model.input_size, model.weights) == (("r", "g", "b"), (16, 24), "mine")
    assert model.spec == "python:my_networks:whole"
    with pytest.raises(InputError, match="own preprocessing; leave out size"):
        load_model(f"python:{module}:whole,size=32")


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("my_networks", InputError, "does not name a function"),
        ("no_such_module:build", InputError, "cannot be imported"),
        ("no_such_file.py:build", InputError, "cannot be imported"),
        ("broken_networks:build", InputError, "nothing_of_this_name"),
        ("my_networks:bild", InputError, "no function bild"),
        ("my_networks:number", InputError, "no function number"),
        ("my_networks:wrong", ModelError, "returned a str"),
        ("my_networks:failing", ModelError, "KeyError"),
        ("my_networks:deaf", ModelError, "no gradient"),
    ],
)
def test_unusable_functions_are_refused(module, name, error, match):
    with pytest.raises(error, match=match) as caught:
        load_model(f"python:{name}")
    assert "\n" not in str(caught.value)
