"""Volumes of medicine on the command line: the map comes back in the file's own geometry; clips and signals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cases.nets import explain, net

from maskstack import MDM
from maskstack.cli.main import main
from maskstack.models.volumes import open_volume

NETWORK = """
import torch
from torch import nn

class Bright(nn.Module):
    '''Two classes: whether anything is bright. Each voxel counts by itself, so the answer is known.'''

    def __init__(self, channels=1, threshold=0.5):
        super().__init__()
        self.channels, self.threshold = channels, threshold

    def forward(self, volumes):
        bright = (20 * (volumes[:, :1] - self.threshold)).sigmoid().flatten(1).sum(1, keepdim=True)
        return torch.cat([torch.full_like(bright, 2.5), bright / 20], dim=1)

def bright():
    return Bright()

def hounsfield():
    return Bright(threshold=0.3)
"""
SHAPE, BOX = (20, 16, 12), (slice(3, 9), slice(9, 14), slice(6, 10))  # x, y, z in the canonical orientation


@pytest.fixture
def folder(tmp_path, monkeypatch):
    nibabel = pytest.importorskip("nibabel", reason="the extra 'medical' is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORK)
    values = np.random.default_rng(0).normal(-700, 30, SHAPE)
    values[BOX] = 300
    affine = np.diag([0.8, 0.9, 2.5, 1.0])
    affine[:3, 3] = [-10, 20, 30]
    plain = nibabel.Nifti1Image(values.round().astype(np.int16), affine)
    nibabel.save(plain, tmp_path / "ct.nii.gz")
    turn = nibabel.orientations.axcodes2ornt(("P", "S", "L"))
    nibabel.save(plain.as_reoriented(turn), tmp_path / "turned.nii.gz")
    slices = [Image.fromarray(s) for s in np.clip((values + 800) / 5, 0, 255).astype(np.uint8).transpose(2, 1, 0)]
    slices[0].save(tmp_path / "stack.tif", save_all=True, append_images=slices[1:])
    return tmp_path


def call(*arguments: str) -> int:
    options = ["--preset", "single", "--sizes", "4,6", "--steps", "25"]
    return main(["explain", *arguments, *options])


@pytest.mark.slow
@pytest.mark.parametrize("file", ["ct.nii.gz", "turned.nii.gz"])
@pytest.mark.parametrize("size", ["", ",depth=8,size=24x16"])
def test_the_map_lies_on_the_decisive_box_in_the_files_own_geometry(file: str, size: str, folder, capsys) -> None:
    import nibabel

    assert call(file, "--model", f"python:nets.py:bright,volume{size}", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (result,) = document["results"]
    source, found = nibabel.load(file), nibabel.load(result["files"]["map"])
    assert found.shape == source.shape
    np.testing.assert_allclose(found.affine, source.affine, atol=1e-6)
    saliency = np.asarray(nibabel.as_closest_canonical(found).dataobj)
    box = np.zeros(SHAPE, bool)
    box[BOX] = True
    highest = saliency >= np.sort(saliency.ravel())[-box.sum() // 2]
    assert (highest & box).sum() > (0.5 if size else 0.8) * highest.sum()  # the box is 3% of the volume
    with Image.open(result["files"]["overlay"]) as montage:
        assert montage.width > 300
    words = " ".join(document["warnings"])
    assert ("resized from 12 x 16 x 20 to 8 x 24 x 16" if size else "a volume of 12 x 16 x 20 (slices, rows") in words
    assert "the lowest and the highest, are shown from black to white" in words
    assert document["output"] == "logits of 2 classes"


@pytest.mark.slow
def test_what_is_finished_is_not_done_again_and_slices_move(folder, capsys) -> None:
    arguments = ["stack.tif", "--model", "python:nets.py:bright,volume", "--animate", "gif", "--map", "npy"]
    assert call(*arguments) == 0
    assert np.load("out/stack.map.npy").shape == (12, 16, 20)
    with Image.open("out/stack.slices.gif") as film:
        assert film.n_frames > 3
    capsys.readouterr()
    assert call(*arguments, "--resume") == 0
    assert "1 already done" in capsys.readouterr().out
    assert call(*arguments, "--resume", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert found["files"]["array"] == "out/stack.map.npy"


@pytest.mark.slow
def test_a_folder_stands_for_its_volumes(folder, capsys) -> None:
    Image.new("L", (20, 20)).save("flat.tif")
    Image.new("L", (20, 20)).save("photo.png")
    (folder / "cut.nii.gz").write_bytes((folder / "ct.nii.gz").read_bytes()[:3000])
    arguments = [".", "--model", "python:nets.py:bright,volume", "--steps", "1", "--out", ".", "--animate", "gif"]
    assert main(["explain", *arguments, "--preset", "single", "--sizes", "4,6", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [result["photo"] for result in document["results"]] == ["ct.nii.gz", "stack.tif", "turned.nii.gz"]
    left_out = [warning for warning in document["warnings"] if warning.startswith("left out")]
    assert [warning.split()[2] for warning in left_out] == ["cut.nii.gz", "flat.tif"]
    again = ["explain", *arguments, "--preset", "single", "--sizes", "4,6", "--resume"]
    assert main(again) == 0, "its own animations and maps are not taken for volumes"
    assert "3 already done: at most 0 forward" in capsys.readouterr().out
    (folder / "photos").mkdir()
    Image.new("L", (20, 20)).save("photos/photo.png")
    assert main(["explain", "photos", "--model", "python:nets.py:bright,volume"]) == 2
    assert "photos is a folder without volumes" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_file_asked_for_later_is_written_without_another_search(folder, capsys, monkeypatch) -> None:
    arguments = ["stack.tif", "--model", "python:nets.py:bright,volume"]
    assert call(*arguments) == 0
    monkeypatch.setattr(MDM, "__call__", lambda *_, **__: pytest.fail("it was searched again"))
    assert call(*arguments, "--resume", "--map", "npy") == 0
    assert np.load("out/stack.map.npy").max() > 0.9
    Path("out/stack.overlay.png").unlink()
    capsys.readouterr()
    assert call(*arguments, "--resume", "--map", "npy") == 0
    assert Path("out/stack.overlay.png").is_file()
    assert call(*arguments, "--resume", "--map", "npy") == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.slow
def test_units_of_the_file_are_kept_where_mean_and_std_are_given(folder, capsys) -> None:
    assert call("ct.nii.gz", "--model", "python:nets.py:hounsfield,volume,mean=-700,std=1000", "--target", "1") == 0
    assert call("ct.nii.gz", "--model", "python:nets.py:bright,volume", "--window", "-200/1000", "--out", "w") == 0
    for place in ("w", "out"):
        assert main(["verify", f"{place}/ct.safetensors", "ct.nii.gz", "--allow-code"]) == 0
    assert "window -200/1000" in capsys.readouterr().out + capsys.readouterr().err or (folder / "w").is_dir()


SAID = {
    "a photo": (["flat.png", "--model", "python:nets.py:bright,volume"], "is not a volume, which this network takes"),
    "one page": (["flat.tif", "--model", "python:nets.py:bright,volume"], "has one page, which is not a volume"),
    "a slice": (["ct.nii.gz", "--page", "3", "--model", "python:nets.py:bright,volume"], "--page is for photos"),
    "no flag": (["ct.nii.gz", "--model", "python:nets.py:bright,depth=8"], "add the flag"),
    "channels": (["ct.nii.gz", "--model", "python:nets.py:bright,volume,channels=2"], "the file has 1 channel, but"),
    "half a norm": (["ct.nii.gz", "--model", "python:nets.py:bright,volume,mean=3"], "give both mean and std"),
    "a cut file": (["cut.nii.gz", "--model", "python:nets.py:bright,volume"], "cannot be read as a volume"),
}


@pytest.mark.parametrize("case", SAID)
def test_what_is_wrong_is_one_sentence_and_leaves_no_folder(case: str, folder, capsys) -> None:
    Image.new("L", (20, 20)).save("flat.png")
    Image.new("L", (20, 20)).save("flat.tif")
    (folder / "cut.nii.gz").write_bytes((folder / "ct.nii.gz").read_bytes()[:3000])
    arguments, sentence = SAID[case]
    assert call(*arguments) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (folder / "out").exists()


def test_slices_are_those_of_the_photo_reader(folder) -> None:
    from maskstack.models import open_photo

    for file in ("ct.nii.gz", "turned.nii.gz"):
        pictures = open_volume(file, window=(-200.0, 1000.0)).pictures()
        for page in (0, 7):
            photo = open_photo(file, page=page, window=(-200.0, 1000.0))
            assert np.array_equal(np.asarray(photo), np.asarray(pictures[page]))


def test_clips() -> None:
    clip = torch.rand(2, 3, 4, 10, 12)
    found = explain(net(dims=3), clip, [1, 2])
    assert found.saliency.shape == (2, 1, 4, 10, 12)


def test_signals_are_images_of_one_row() -> None:
    signals, inner = torch.randn(2, 3, 64), net(channels=3, dims=1)
    mdm = MDM(lambda images: inner(images.squeeze(2)), sizes=((1, 4), (1, 8)), steps=3, members=1)
    found = mdm(signals.unsqueeze(2), 1)
    assert found.saliency.shape == (2, 1, 1, 64)
    torch.testing.assert_close(found.score_before, inner(signals).softmax(1)[:, 1].detach())
