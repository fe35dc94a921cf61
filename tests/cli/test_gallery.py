"""``maskstack gallery`` as a person types it."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from maskstack import Explanation
from maskstack.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_bundled")]

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")

SMALL = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with two photos and a small network of one's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("chelsea", "coffee"):
        Image.fromarray(getattr(data, name)()).save(tmp_path / f"{name}.png")
    (tmp_path / "small.py").write_text(SMALL)
    (tmp_path / "names.txt").write_text("cup\nsaucer\nespresso\n")
    return tmp_path


OWN = "my own=python:small.py:make,size=32x48,classes=names.txt"
ARGUMENTS = (
    "gallery",
    "--model",
    "Lite0=bundled",
    "--model",
    OWN,
    "--preset",
    "fast",
    "--steps",
    "4",
    "--out",
    "drawn",
)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_networks_by_photos(place, capsys):
    code, out, err = run(capsys, *ARGUMENTS, "chelsea.png", "coffee.png")
    assert code == 0, err
    assert "4 maps: at most" in out
    assert out.index("at most") < re.search("reliable: |doubtful: |do not use: ", out).start()
    assert "chelsea.png, Lite0: Egyptian cat" in out
    with Image.open("drawn/gallery.png") as drawn:
        assert min(drawn.size) > 500
    found = {path.name: Explanation.load(path) for path in Path("drawn").glob("*.safetensors")}
    assert set(found) == {
        "lite0.chelsea.safetensors", "lite0.coffee.safetensors",
        "my_own.chelsea.safetensors", "my_own.coffee.safetensors",
    }  # fmt: skip
    assert found["lite0.coffee.safetensors"].target_name == ("espresso",)
    assert found["my_own.coffee.safetensors"].saliency.shape[2:] == (32, 48)
    notes = found["my_own.coffee.safetensors"].notes
    assert (notes["model"], notes["photo"]) == (OWN.partition("=")[2], "coffee.png")
    assert notes["photo_sha256"] == hashlib.sha256(Path("coffee.png").read_bytes()).hexdigest()


def test_what_is_finished_is_not_done_again(place, capsys):
    assert run(capsys, *ARGUMENTS, "coffee.png")[0] == 0
    Path("drawn/my_own.coffee.safetensors").write_bytes(b"half a file")
    Path("drawn/gallery.png").unlink()
    before = Path("drawn/lite0.coffee.safetensors").stat().st_mtime_ns
    code, out, err = run(capsys, *ARGUMENTS, "coffee.png", "--resume", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["cost"]["maps"], document["cost"]["already_done"]) == (1, 1)
    assert Path("drawn/lite0.coffee.safetensors").stat().st_mtime_ns == before
    assert document["gallery"] == "drawn/gallery.png"
    assert Path("drawn/gallery.png").is_file()
    _, out, _ = run(capsys, *ARGUMENTS, "chelsea.png", "coffee.png", "--resume")
    assert "2 maps, 2 already done" in out, "a photo before it leaves a finished one as it is"
    _, out, _ = run(capsys, *ARGUMENTS, "coffee.png", "--resume", "--target", "cup")
    assert "2 maps: at most" in out, "what was finished is of another class"


def test_networks_whose_names_look_alike_keep_their_own_maps(place, capsys):
    bare = "python:small.py:make,size=32x48"
    arguments = ("gallery", "--model", f"a b={bare}", "--model", f"a-b={bare},norm=half", "--preset", "fast")
    code, _, err = run(capsys, *arguments, "--out", "drawn", "coffee.png")
    assert code == 0, err
    found = {path.name: Explanation.load(path).notes["model"] for path in Path("drawn").glob("*.safetensors")}
    assert found == {"a_b.coffee.safetensors": bare, "a_b-2.coffee.safetensors": f"{bare},norm=half"}


def test_methods_by_photos(place, capsys):
    methods = ("mdm", "gradcam", "rise:masks=8")
    arguments = ["gallery", "coffee.png", "--model", OWN, "--preset", "fast", "--steps", "4", "--out", "drawn"]
    arguments += [word for method in methods for word in ("--method", method)]
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    assert "coffee.png, gradcam" in out
    found = {path.name: Explanation.load(path) for path in Path("drawn").glob("*.safetensors")}
    assert set(found) == {
        "my_own_mdm.coffee.safetensors", "my_own_gradcam.coffee.safetensors",
        "my_own_rise_masks_8.coffee.safetensors",
    }  # fmt: skip
    for each in found.values():
        assert each.trust.verdict(0).word != "not measured", "every method is judged"
        assert each.geometry[0] is not None
    assert found["my_own_rise_masks_8.coffee.safetensors"].settings["masks"] == 8
    assert found["my_own_gradcam.coffee.safetensors"].notes.items() >= {"method": "gradcam", "grid": "7 x 11"}.items()
    for name in found:
        code, out, err = run(capsys, "verify", f"drawn/{name}", "coffee.png", "--allow-code")
        assert code == 0, f"{name}: {out}{err}"
    code, out, err = run(capsys, *arguments, "--resume", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["cost"]["already_done"] == 3
    assert [each["photo"] for each in document["results"]] == [f"coffee.png, {method}" for method in methods]
    code, out, err = run(capsys, *arguments[:-1], "rise:masks=9", "--resume", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["cost"]["already_done"] == 2
    assert [each["photo"] for each in document["results"]] == [
        "coffee.png, mdm", "coffee.png, gradcam", "coffee.png, rise:masks=9"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing.png",), "nothing.png does not exist"),
        (("coffee.png", "--target", "tripod"), "my own: there is no class named 'tripod'"),
        (("coffee.png", "--target", "7"), "my own: target 7 is out of range"),
        (("coffee.png", "--model", "Lite0=timm:resnet18"), "two networks are named 'Lite0'"),
        (("coffee.png", "--model", "bundled:lite9"), "the network of bundled is 'lite9'"),
        (("coffee.png", "--preset", "quick"), "preset is 'quick'; it must be one of"),
        (("coffee.png", "--target", "top3"), "--target top3 asks for several classes"),
        (("coffee.png", "--method", "grad-cam"), "there is no method 'grad-cam'; did you mean gradcam"),
        (("coffee.png", "--method", "gradcam", "--method", "gradcam"), "a method is given twice"),
        (("coffee.png", "--method", "rise:mask=3"), "the method rise has no option 'mask'"),
    ],
)
def test_all_that_is_wrong_is_found_before_any_search(place, capsys, arguments, sentence):
    code, _, err = run(capsys, *ARGUMENTS, *arguments)
    assert code == 2
    assert sentence in " ".join(err.split())
    assert not list(Path().glob("drawn/*"))


def test_a_page_and_a_window_are_chosen_as_in_explain(place, capsys):
    pages = [Image.open(place / f"{name}.png").convert("I;16") for name in ("coffee", "chelsea")]
    pages[0].save(place / "pages.tif", save_all=True, append_images=pages[1:])
    short = ("gallery", "pages.tif", "--model", OWN, "--preset", "fast", "--steps", "2", "--resume")
    code, _, err = run(capsys, *short)
    assert code == 0
    assert "page 0 of pages 0 to 1 is used; choose another with --page" in err
    code, out, _ = run(capsys, *short, "--page", "1", "--window", "100/200", "--json")
    assert code == 0
    (result,) = json.loads(out)["results"]
    notes = Explanation.load(result["files"]["explanation"]).notes
    assert (notes["page"], notes["window"]) == ("1", "100/200"), "the other page's map is not taken for it"
    assert run(capsys, "verify", result["files"]["explanation"], "pages.tif", "--allow-code")[0] == 0
