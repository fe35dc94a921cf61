"""``maskstack explain FOLDER``: the same results as file by file, in bounded memory, also beside damaged files."""

import gc
import json
import sys
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskstack import Explanation
from maskstack.cli.main import main
from maskstack.errors import InputError
from maskstack.jobs import explain as job
from maskstack.jobs import photo_files

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_bundled")]

NETWORK = """
from torch import nn
import torch
def tiny():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 7, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    return nn.Sequential(body, nn.Flatten(), nn.Linear(16, 3))
"""
QUICK = ["--model", "python:tiny_nets:tiny", "--output", "logits", "--preset", "fast", "--steps", "2", "--sizes", "4"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny_nets.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny_nets", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 255, (40 + number, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path


def test_a_folder_gives_what_its_files_give_and_damaged_ones_are_left_out(folder, capsys) -> None:
    (folder / "photos" / "2b.jpg").write_text("no image")
    files = [f"photos/{number}.png" for number in range(4)]
    assert main(["explain", "photos", "--out", "one", "--json", *QUICK]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [result["photo"] for result in document["results"]] == files
    assert any("left out" in warning and "2b.jpg" in warning for warning in document["warnings"])
    assert main(["explain", *files, "--out", "other", *QUICK]) == 0
    for number in range(4):
        one, other = (Explanation.load(folder / out / f"{number}.safetensors") for out in ("one", "other"))
        assert (one.saliency == other.saliency).all()
        pictures = [np.asarray(Image.open(folder / out / f"{number}.figure.png")) for out in ("one", "other")]
        assert np.array_equal(*pictures)
    capsys.readouterr()
    assert main(["explain", "photos", "--out", "one", "--json", "--resume", *QUICK]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["already_done"] == 4
    assert main(["explain", "photos/2b.jpg", "--out", "two", *QUICK]) == 2, "a file that was named is not left out"


@pytest.mark.usefixtures("new_objects_alone")
def test_few_photos_are_held_at_a_time(folder, monkeypatch, capsys) -> None:
    held: list[weakref.ref[object]] = []
    most = 0
    open_photo = job.PhotosRequest.open_photo

    def counted(self, file):
        nonlocal most
        photo = open_photo(self, file)
        held.append(weakref.ref(photo))
        gc.collect()
        most = max(most, sum(each() is not None for each in held))
        return photo

    monkeypatch.setattr(job.PhotosRequest, "open_photo", counted)
    assert main(["explain", "photos", "--out", "out", *QUICK]) == 0
    assert len(held) >= 8
    assert most <= 3


def test_pictures_of_figures_end_without_a_search_for_garbage(folder, monkeypatch, capsys) -> None:
    held: list[weakref.ref[object]] = []
    save_png = photo_files.save_png

    def kept(picture, path):
        save_png(picture, path)
        if not isinstance(picture, Image.Image):
            held.extend(weakref.ref(image.get_array()) for image in picture.axes[0].images)
            held.append(weakref.ref(picture.canvas))

    monkeypatch.setattr(photo_files, "save_png", kept)
    gc.disable()
    try:
        assert main(["explain", "photos", "--out", "out", *QUICK]) == 0
        assert sum(each() is not None for each in held) <= 4, "a figure without pictures and its canvas are small"
    finally:
        gc.enable()
    assert len(held) > 12


def test_a_picture_that_cannot_be_written_ends_the_work_in_one_sentence(folder, monkeypatch, capsys) -> None:
    def full(_picture, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photo_files, "save_png", full)
    assert main(["explain", "photos", "--out", "out", *QUICK]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert not list((folder / "out").glob("*.json")), "no photo counts as finished"


def test_a_photo_that_fails_leaves_those_before_it_finished(folder, monkeypatch, capsys) -> None:
    opened: Counter[str] = Counter()
    open_photo = job.PhotosRequest.open_photo

    def vanishing(self, file):
        opened[file] += 1
        if file == "photos/2.png" and opened[file] > 1:
            raise InputError("there is no file 2.png; check the path")
        return open_photo(self, file)

    monkeypatch.setattr(job.PhotosRequest, "open_photo", vanishing)
    assert main(["explain", "photos", "--out", "out", *QUICK]) == 2
    assert "there is no file 2.png" in capsys.readouterr().err
    assert sorted(file.name for file in Path("out").glob("*.json")) == ["0.json", "1.json"]


def test_each_photo_of_a_group_gets_what_is_its_own(folder, capsys) -> None:
    assert main(["explain", "photos", "--out", "group", "--target", "1", "--against", "second", *QUICK]) == 0
    assert main(["explain", "photos/2.png", "--out", "alone", "--target", "1", "--against", "second", *QUICK]) == 0
    alone, found = (Explanation.load(f"{out}/2.safetensors") for out in ("alone", "group"))
    torch.testing.assert_close(found.saliency, alone.saliency, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.contrast.tensors(), alone.contrast.tensors(), atol=1e-3, rtol=0)
    assert found.notes == alone.notes
    assert found.geometry == alone.geometry
    assert (found.forward_passes, found.target) == (alone.forward_passes, alone.target)
    assert len(found) == 1
