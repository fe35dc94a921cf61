"""The files of ``maskstack explain`` lie in the photo's own frame, whatever photo was given."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskstack import Explanation
from maskstack.cli.main import main

NETWORK = """
import torch
from torch import nn

class Bright(nn.Module):
    def __init__(self):
        super().__init__()
        self.dummy = nn.Parameter(torch.ones(1))

    def forward(self, images):
        bright = (images.mean(dim=1) * self.dummy).clamp(-1, 1).square().mean(dim=(1, 2)) * 20
        return torch.stack([bright, torch.zeros_like(bright)], dim=1)

def make():
    return Bright()
"""
"""A network that looks for pixels unlike grey."""

QUICK = ("--sizes", "4,8", "--steps", "25", "--preset", "single", "--target", "0")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK)
    return tmp_path


def explain(photo: str, *options: str, squash: bool = False) -> int:
    model = "python:net.py:make,size=32,norm=half" + (",crop=squash" if squash else "")
    return main(["explain", photo, "--model", model, "--out", "out", *QUICK, *options])


def marked(width: int, height: int, mode: str = "RGB") -> tuple[Image.Image, np.ndarray]:
    """A grey photo with a bright square right of its centre and above it, and where that is."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    side = min(width, height) / 5
    inside = (abs(x - width / 2 - side) < side) & (abs(y - height / 2 + side / 2) < side)
    values = np.where(inside, 255, 127).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(values.astype(np.uint16) * 257), inside
    return Image.fromarray(values).convert(mode), inside


def lies_where_it_should(found: np.ndarray, inside: np.ndarray) -> None:
    assert found.shape == inside.shape
    assert found[inside].mean() > 2 * found[~inside].mean() + 0.1
    row, column = np.argwhere(found >= 0.98 * found.max()).mean(axis=0)
    rows, columns = np.nonzero(inside)
    assert rows.min() - 2 <= row <= rows.max() + 2
    assert columns.min() - 2 <= column <= columns.max() + 2


@pytest.mark.slow
@pytest.mark.parametrize("squash", [False, True], ids=["crop", "squash"])
@pytest.mark.parametrize(
    ("size", "mode", "ending"),
    [
        ((20, 16), "RGB", "png"),  # smaller than the network's input
        ((300, 200), "CMYK", "tif"),
        ((120, 260), "I;16", "png"),
        ((150, 100), "L", "jpg"),
        ((1000, 8), "RGB", "png"),
        ((8, 1000), "RGB", "png"),
    ],
    ids=str,
)
def test_the_map_lies_on_what_was_marked(size, mode, ending, squash, place, capsys) -> None:
    photo, inside = marked(*size, mode)
    photo.save(f"photo.{ending}")
    assert explain(f"photo.{ending}", "--map", "npy", squash=squash) == 0, capsys.readouterr().err
    found = np.load("out/photo.map.npy", allow_pickle=False)
    if min(size) > 8 or not squash:
        lies_where_it_should(found, inside)
    with Image.open("out/photo.overlay.png") as drawn:
        assert drawn.size == size


@pytest.mark.slow
def test_an_animation_is_explained_by_its_first_frame(place, capsys) -> None:
    first, inside = marked(90, 60)
    first.save("photo.gif", save_all=True, append_images=[Image.new("RGB", (90, 60))], duration=50)
    assert explain("photo.gif", "--map", "npy") == 0, capsys.readouterr().err
    lies_where_it_should(np.load("out/photo.map.npy"), inside)


@pytest.mark.slow
def test_a_turned_photo_is_drawn_upright(place, capsys) -> None:
    photo, inside = marked(200, 120)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.rotate(90, expand=True).save("photo.jpg", exif=exif, quality=95)
    assert explain("photo.jpg", "--map", "npy") == 0, capsys.readouterr().err
    lies_where_it_should(np.load("out/photo.map.npy"), inside)
    with Image.open("out/photo.overlay.png") as drawn:
        assert drawn.size == (200, 120)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (20_000, 20_000)], ids=str)
def test_a_photo_that_is_too_thin_or_too_large_is_refused_in_a_sentence(size, place, capsys) -> None:
    Image.new("1", size).save("photo.png")
    assert explain("photo.png") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert f"{size[0]} x {size[1]} pixels" in error or "photo.png is larger than Pillow allows; resize it" in error
    assert "Traceback" not in error
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_network_that_sees_little_of_a_photo_is_said_to(place, capsys) -> None:
    for width, said in ((60, False), (400, True)):
        marked(width, 40)[0].save("photo.png")
        assert explain("photo.png") == 0
        captured = capsys.readouterr()
        assert ("photo.png: the network sees only the middle" in captured.err) is said
        found = Explanation.load("out/photo.safetensors")
        words = " ".join(axis.get_label() for axis in found.plot("photo.png").axes[0].images)
        assert ("the network saw 8%" in words.replace("\n", " ")) is said
    assert "the middle 8% of the photo" in captured.err
    assert "add crop=squash to the spec" in captured.err
    assert explain("photo.png", squash=True) == 0
    assert "the network sees only" not in capsys.readouterr().err


@pytest.mark.slow
def test_the_map_is_written_in_each_kind_and_the_geometry_is_kept(place, capsys) -> None:
    photo, inside = marked(120, 90)
    photo.save("photo.png")
    assert explain("photo.png", "--map", "png", "--json") == 0
    files = json.loads(capsys.readouterr().out)["results"][0]["files"]
    assert files["map"] == str(Path("out/photo.map.png"))
    found = Explanation.load(files["explanation"])
    assert found.geometry[0].photo == (90, 120)
    with Image.open(files["map"]) as stored:
        levels = np.asarray(stored)
    assert levels.dtype == np.uint16
    np.testing.assert_allclose(levels / 65535, found.photo_map(), atol=1e-4)
    lies_where_it_should(levels / 65535, inside)
    read = json.loads(Path("out/photo.json").read_text())
    assert read["geometry"][0]["photo"] == [90, 120]


@pytest.mark.slow
def test_nifti_needs_nibabel_and_is_written_with_it(place, capsys) -> None:
    photo, inside = marked(120, 90)
    photo.save("photo.png")
    if importlib.util.find_spec("nibabel") is None:
        assert explain("photo.png", "--map", "nifti") == 2
        assert "pip install 'maskstack[nifti]'" in " ".join(capsys.readouterr().err.split())
        assert not Path("out").exists()
        return
    import nibabel

    assert explain("photo.png", "--map", "nifti") == 0
    stored = np.asarray(nibabel.load("out/photo.map.nii.gz").dataobj)
    assert stored.shape == (120, 90, 1)
    lies_where_it_should(stored[..., 0].T, inside)


@pytest.mark.slow
def test_resume_makes_a_map_file_that_is_missing(place, capsys) -> None:
    marked(60, 40)[0].save("photo.png")
    explain("photo.png", "--resume")
    explain("photo.png", "--resume", "--map", "npy")
    assert Path("out/photo.map.npy").is_file()
    capsys.readouterr()
    explain("photo.png", "--resume", "--map", "npy")
    assert "1 already done" in capsys.readouterr().out


@pytest.mark.slow
def test_resume_gives_a_program_all_photos_in_the_order_asked_for(place, capsys) -> None:
    for name in ("a.png", "b.png", "c.png"):
        marked(40, 50)[0].save(name)
    model = ["--model", "python:net.py:make,size=32,norm=half", "--out", "out", *QUICK, "--json"]
    assert main(["explain", "b.png", *model]) == 0
    (before,) = json.loads(capsys.readouterr().out)["results"]
    for done in (1, 3):
        assert main(["explain", "a.png", "b.png", "c.png", *model, "--resume"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["cost"]["already_done"] == done
        assert [each["photo"] for each in document["results"]] == ["a.png", "b.png", "c.png"]
        assert document["results"][1] == before
        assert all(Path(file).is_file() for each in document["results"] for file in each["files"].values())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--map", "jpg"), "the kind of map is 'jpg'; it must be one of npy, png, nifti"),
        (("--style", "glow"), "style is 'glow'; it must be one of contour, heat, masked"),
        (("--opacity", "2"), "opacity is 2"),
        (("--colours", "rainbowish"), "not a colour map of matplotlib"),
    ],
    ids=str,
)
def test_options_are_checked_before_anything_is_written(options, sentence, place, capsys) -> None:
    marked(60, 40)[0].save("photo.png")
    assert explain("photo.png", *options) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("style", ["contour", "heat", "masked"])
def test_every_style_is_drawn_and_they_differ(style, place, capsys) -> None:
    marked(120, 90)[0].save("photo.png")
    assert explain("photo.png", "--style", style, "--colours", "viridis", "--opacity", "0.5", "--grids") == 0
    with Image.open("out/photo.overlay.png") as drawn, Image.open("photo.png") as photo:
        assert np.abs(np.asarray(drawn).astype(int) - np.asarray(photo.convert("RGB"))).mean() > 1
