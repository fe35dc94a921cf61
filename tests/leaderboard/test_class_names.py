"""Networks that do not name their classes, on data that does: the class that is explained is never a guess unsaid."""

from pathlib import Path

import pytest
from PIL import Image

from maskstack.cli.main import main

NETWORK = """
from torch import nn

def four():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
SPEC = "four=python:nets.py:four,size=32,norm=unit"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORK)
    (tmp_path / "names.txt").write_text("mass\nedema\nnodule\nhernia\n")
    for name in ("edema", "nodule"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "data" / name / f"{name}.png")
    return tmp_path


def bench(model: str, *more: str) -> int:
    options = ["--methods", "centre", "--metrics", "complexity", "--out", "run"]
    return main(["bench", "--data", "data", "--model", model, *options, *more])


def test_another_number_of_classes_is_refused_before_anything_is_written(folder, capsys) -> None:
    assert bench(SPEC) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the data names 2 classes, but python:nets.py:four" in said
    assert "has 4 without names" in said
    assert not Path("run").exists()
    assert bench(SPEC, "--target", "predicted") == 0
    assert "names of" not in capsys.readouterr().err


def test_names_settle_it(folder, capsys) -> None:
    assert bench(f"{SPEC},classes=names.txt") == 0
    assert "name its classes" not in capsys.readouterr().err


def test_the_same_number_of_classes_is_said_to_be_assumed_in_order(folder, capsys) -> None:
    for name in ("hernia", "mass"):
        (folder / "data" / name).mkdir()
        Image.new("RGB", (40, 40)).save(folder / "data" / name / f"{name}.png")
    assert bench(SPEC) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "in the order of their names, edema for class 0" in said
