"""The networks a page offers, and those it has loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskstack.errors import InputError, MaskstackError
from maskstack.models import installed_models
from maskstack.web import networks
from maskstack.web.networks import Networks, offered

NET = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def broken():
    raise RuntimeError("no such thing")
"""


def own(found: dict[str, str]) -> dict[str, str]:
    """Without the bundled network, which is there or not by what is installed."""
    return {name: spec for name, spec in found.items() if spec != "bundled"}


@pytest.fixture
def without_bundled(monkeypatch) -> None:
    """As if the extra `demo` were not installed."""
    kinds = [kind._replace(status="missing") if kind.kind == "bundled" else kind for kind in installed_models()]
    monkeypatch.setattr(networks, "installed_models", lambda: kinds)


def test_those_asked_for_come_first_by_their_own_names() -> None:
    found = offered(["small net=python:nets:small", "python:nets:large"])
    assert list(found.items())[:2] == [("small net", "python:nets:small"), ("python:nets:large", "python:nets:large")]


def test_the_bundled_network_is_offered_once() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    assert list(offered().values()) == ["bundled"]
    assert offered(["mine=bundled"]) == {"mine": "bundled"}


def test_no_network_at_all_is_said(without_bundled) -> None:
    assert offered(["python:nets:small"]) == {"python:nets:small": "python:nets:small"}
    with pytest.raises(InputError, match="no network to offer; give --model"):
        offered()


def test_a_folder_gives_its_files_with_the_names_beside_them(tmp_path, without_bundled) -> None:
    for name in ("birds.onnx", "birds.txt", "cats.pt2", "notes.md", "cats.json"):
        (tmp_path / name).touch()
    assert offered(folder=tmp_path) == {
        "birds.onnx": f"onnx:{tmp_path / 'birds.onnx'},norm=imagenet,classes={tmp_path / 'birds.txt'}",
        "cats.pt2": f"exported:{tmp_path / 'cats.pt2'},norm=imagenet",
    }


def test_a_list_names_networks_with_paths_seen_from_the_folder(tmp_path, without_bundled) -> None:
    for name in ("birds.onnx", "names.txt"):
        (tmp_path / name).touch()
    (tmp_path / "models.toml").write_text(
        '"Birds, 4 kinds" = "onnx:birds.onnx,norm=half,classes=names.txt"\nfrom_hub = "timm:resnet18,pretrained"\n'
    )
    assert offered(folder=tmp_path) == {
        "Birds, 4 kinds": f"onnx:{tmp_path / 'birds.onnx'},norm=half,classes={tmp_path / 'names.txt'}",
        "from_hub": "timm:resnet18,pretrained",
    }


def test_an_absolute_path_of_a_list_stays(tmp_path, without_bundled) -> None:
    elsewhere, folder = tmp_path / "elsewhere.onnx", tmp_path / "folder"
    elsewhere.touch()
    folder.mkdir()
    (folder / "models.toml").write_text(f'far = "onnx:{elsewhere}"\n')
    assert offered(folder=folder) == {"far": f"onnx:{elsewhere}"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"birds = onnx:birds.onnx\n", 'cannot be read .* write lines name = "spec"'),
        (b'birds = "\xff\xfe"\n', "cannot be read"),
        (b"birds = 3\n", 'birds is not text; write birds = "spec"'),
        (b'[birds]\nspec = "bundled"\n', "birds is not text"),
        (b'birds = "onnx:a,,b"\n', "empty part"),
    ],
    ids=str,
)
def test_a_list_that_is_none_is_refused(tmp_path, content, says) -> None:
    (tmp_path / "models.toml").write_bytes(content)
    with pytest.raises(InputError, match=says):
        offered(folder=tmp_path)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path, name) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"{name} is not a folder"):
        offered(folder=tmp_path / name)


@pytest.fixture
def nets(tmp_path) -> Networks:
    (tmp_path / "nets.py").write_text(NET)
    spec = f"python:{tmp_path / 'nets.py'}:"
    offers = {name: f"{spec}make,size={16 + number}" for number, name in enumerate("abc")}
    offers |= {"broken": f"{spec}broken", "gone": "onnx:gone.onnx"}
    return Networks(offers, device=torch.device("cpu"), keep=2)


def test_a_network_is_loaded_once_and_is_the_one_asked_for(nets) -> None:
    a, b = nets.get("a"), nets.get("b")
    assert (a.input_size, b.input_size) == ((16, 16), (17, 17))
    assert nets.get("a") is a
    assert nets.get("b") is b


def test_the_one_not_asked_for_longest_is_let_go(nets) -> None:
    a, b = nets.get("a"), nets.get("b")
    nets.get("a")
    nets.get("c")
    assert nets.get("a") is a
    assert nets.get("b") is not b


@pytest.mark.parametrize("name", ["d", "bundled", "", "python:os:getcwd"])
def test_only_what_is_offered_can_be_had(nets, name) -> None:
    with pytest.raises(InputError, match="not offered here"):
        nets.get(name)


def test_one_that_cannot_be_loaded_is_said_each_time_and_harms_no_other(nets) -> None:
    for _ in range(2):
        for name, says in (("broken", "no such thing"), ("gone", r"gone\.onnx")):
            with pytest.raises(MaskstackError, match=says):
                nets.get(name)
    assert nets.get("a").input_size == (16, 16)


def test_later_changes_of_the_offers_are_nothing_to_the_page(tmp_path: Path) -> None:
    offers = {"a": "bundled"}
    nets = Networks(offers, device=torch.device("cpu"))
    offers["b"] = "bundled"
    assert list(nets.offers) == ["a"]


def test_files_of_a_folder_do_not_hide_each_other(tmp_path) -> None:
    for name in ("big-net.onnx", "net.onnx", "net.pt2"):
        (tmp_path / name).touch()
    (tmp_path / "models.toml").write_text('listed = "onnx:big-net.onnx,norm=half"\n')
    found = offered(folder=tmp_path)
    assert {"listed", "net.onnx", "net.pt2"} <= found.keys()
    assert "big-net.onnx" not in found


def test_what_is_asked_for_stands_over_the_folder(tmp_path) -> None:
    (tmp_path / "net.onnx").touch()
    assert offered(["net.onnx=timm:resnet18"], tmp_path)["net.onnx"] == "timm:resnet18"


@pytest.mark.parametrize(
    ("spec", "there"), [("python:nets.py:make", "python:{}/nets.py:make"), ("hf:vit,size=64", "hf:{}/vit,size=64")]
)
def test_modules_and_folders_are_seen_from_the_list(tmp_path, spec, there) -> None:
    (tmp_path / "nets.py").touch()
    (tmp_path / "vit").mkdir()
    (tmp_path / "models.toml").write_text(f'mine = "{spec}"\n')
    assert offered(folder=tmp_path, allow_code=True)["mine"] == there.format(tmp_path)


def test_a_comma_in_a_path_is_said(tmp_path) -> None:
    (tmp_path / "a,b.onnx").touch()
    with pytest.raises(InputError, match="has a comma in its path, which a model spec cannot contain; rename it"):
        offered(folder=tmp_path)
