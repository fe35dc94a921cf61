import subprocess
import sys
import types
from dataclasses import replace

import pytest
import torch
from torch import nn

from maskstack import errors as errors_module
from maskstack.errors import InputError, MissingExtraError, ModelError
from maskstack.models import Preprocess, imagenet_names, installed_models, load_model, loaded, read_names
from maskstack.models.kinds import KINDS
from maskstack.models.load import try_out


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("tim:resnet18", r"the model kind is 'tim'; it must be one of bundled, timm.*did you mean timm\?"),
        ("timm", "names no network"),
        ("bundled:lite4", "the network of bundled is 'lite4'; it must be one of lite0"),
        ("bundled,sise=224", r"did you mean size\?"),
        ("bundled,pretrained", "the model kind bundled has no flags; leave out pretrained"),
        ("timm:resnet18,pretraned", r"the flag for timm is 'pretraned'.*did you mean pretrained\?"),
        ("onnx:a.onnx,num_classes=3", "the key for onnx is 'num_classes'; it must be one of classes, output, size"),
        ("bundled,classes=none.txt", "cannot be read"),
    ],
)
def test_wrong_specs_are_refused(spec, match):
    with pytest.raises(InputError, match=match) as caught:
        load_model(spec)
    assert "\n" not in str(caught.value)


def test_weights_given_twice():
    with pytest.raises(InputError, match="twice"):
        load_model("timm:resnet18,weights=a.pt", weights="b.pt")


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.extra])
def test_a_missing_extra_says_how_to_install_it(kind, monkeypatch, tmp_path):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(errors_module, "importlib", types.SimpleNamespace(import_module=absent))
    spec = f"hf:{tmp_path}" if kind == "hf" else KINDS[kind].example
    with pytest.raises(MissingExtraError, match=rf"pip install 'maskstack\[{KINDS[kind].extra}\]'"):
        load_model(spec)


@pytest.mark.slow
def test_importing_needs_no_extra():
    heavy = (
        "timm",
        "torchvision",
        "transformers",
        "onnx",
        "onnx2torch",
        "efficientnet_lite_pytorch",
        "skimage",
    )
    code = (
        "import sys, maskstack.models as models; models.installed_models(); "
        f"found = [name for name in {heavy} if name in sys.modules]; assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_installed_models_lists_every_kind():
    found = installed_models()
    assert [each.kind for each in found] == list(KINDS)
    assert all(each.status == "ready" or "pip install" in each.status for each in found)
    assert all(each.example.startswith(each.kind) for each in found)


def test_imagenet_names():
    names = imagenet_names()
    assert len(names) == len(set(names)) == 1000
    assert all(name == name.strip() != "" for name in names)
    assert (names[0], names[517], names[999]) == ("tench", "crane", "toilet tissue")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"cat\n\ndog\n", b"\xff\xfe\x00"])
def test_names_that_cannot_be_read(tmp_path, content):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(InputError):
        read_names(tmp_path / "names.txt")


def test_names_with_a_byte_order_mark(tmp_path):
    (tmp_path / "names.txt").write_text("﻿cat\r\nSpitz Ö\r\n", encoding="utf-8")
    assert read_names(tmp_path / "names.txt") == ("cat", "Spitz Ö")


def test_the_first_run_finds_what_fails():
    with pytest.raises(ModelError, match="3 x 8 x 8") as caught:
        try_out(nn.Conv2d(1, 2, 3), (3, 8, 8))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no gradient"):
        try_out(lambda_module(lambda images: torch.zeros(len(images), 3, requires_grad=True)), (3, 8, 8))


def lambda_module(function):
    module = nn.Module()
    module.forward = function
    return module


def test_it_works_under_inference_mode(tmp_path):
    (tmp_path / "nets_for_inference.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten())\n"
    )
    with torch.inference_mode():
        model = load_model(f"python:{tmp_path / 'nets_for_inference.py'}:build")
    assert not any(parameter.is_inference() for parameter in model.model.parameters())


def test_picture_undoes_the_preprocessing(photo):
    model = loaded(nn.Identity(), Preprocess(size=(32, 32)), spec="x", weights="random")
    assert model.picture(model.preprocess(photo)).size == (32, 32)


def test_a_loaded_network_is_printed_in_one_line():
    net = loaded(nn.Linear(2, 3), Preprocess(), spec="onnx:net.onnx", weights="net.onnx", class_names=("a", "b"))
    assert repr(net) == "LoadedModel(onnx:net.onnx: 2 named classes, input: 224 x 224, weights: net.onnx)"


def test_a_class_without_a_name_is_called_by_its_index():
    model = loaded(nn.Identity(), Preprocess(), spec="x", weights="random", class_names=("cat", "dog"))
    assert [model.class_name(index) for index in (0, 1, 2, -1)] == ["cat", "dog", "class 2", "class -1"]
    assert replace(model, class_names=()).class_name(0) == "class 0"
