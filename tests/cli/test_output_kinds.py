"""The command line says what an output is and what was decided on a file, and takes a choice of both."""

import json

import numpy as np
import pytest
from PIL import Image

from maskstack import Explanation
from maskstack.cli.main import main

NETWORKS = """
import torch
from torch import nn

def body(classes, *after):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(8, classes))
    return nn.Sequential(net, *after)

def shares():
    return body(4, nn.Softmax(1))

class Age(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = body(1)
    def forward(self, images):
        return 50 + 5 * self.inner(images).tanh()

class WithAge(nn.Module):
    def forward(self, images, age):
        return images.mean((2, 3)) + age

def volumes():
    return nn.Sequential(nn.Conv3d(1, 4, 3), nn.Flatten(), nn.Linear(8, 2))

def number():
    return 5

def segments():
    return nn.Conv2d(3, 4, 1)

class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = body(3)
    def forward(self, images):
        return {"features": self.inner[0][:-1](images), "shares": self.inner(images).sigmoid()}
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks.py").write_text(NETWORKS)
    values = np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16)
    pages = [Image.fromarray(values), Image.fromarray(values.T.copy())]
    pages[0].save(tmp_path / "deep.tif", save_all=True, append_images=pages[1:])

    def call(network: str, *options: str):
        model = f"python:networks.py:{network},size=32"
        sizes = ["--sizes", "2,4", "--steps", "3", "--preset", "single"]
        code = main(["explain", "deep.tif", "--model", model, *sizes, *options])
        return code, *capsys.readouterr()

    return call


@pytest.mark.slow
def test_the_output_and_the_levels_are_said(run, tmp_path) -> None:
    code, out, notes = run("shares")
    assert code == 0, notes
    assert "output: probabilities of 4 classes" in out
    assert "values of 12 bits, 0 to 4095" in notes
    assert "page 0 of pages 0 to 1 is used; choose another with --page; values" in notes
    kept = Explanation.load(tmp_path / "out" / "deep.safetensors")
    assert kept.output == "probabilities of 4 classes"
    assert "values of 12 bits" in kept.notes["levels"]


@pytest.mark.slow
def test_a_page_and_a_window_are_verified_as_they_were_chosen(run, capsys) -> None:
    for chosen in ((), ("--page", "1", "--window", "2000/1000")):
        assert run("shares", *chosen)[0] == 0
        assert main(["verify", "out/deep.safetensors", "deep.tif", "--allow-code"]) == 0, capsys.readouterr()
    assert main(["verify", "out/deep.safetensors", "deep.tif", "--allow-code", "--window", "500/100"]) == 1
    assert "the photo, its page or window, the network or the file is another one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("network", "options", "words"),
    [
        ("WithAge", (), "it needs more than the images: give a function that returns a network of the images alone"),
        ("WithAge", (), "or give 'age' in Python, by maskstack.with_arguments"),
        ("volumes", (), "it has layers for volumes; if it takes them, add the flag volume to the spec"),
        ("segments", (), "in Python, use objectives.region(mask, channel) to explain a part of it"),
        ("Heads", ("--output", "features:probabilities"), "give --output features:"),
        ("Age", ("--target", "top2"), "the network's output is a number, not class scores; leave out --target top2"),
        ("Age", ("--target", "3"), "target 3 is out of range; the network has a single number, 0"),
        ("number", (), "networks.py:number returned an int; return"),
        ("shares", ("--against", "2", "--target", "2"), "deep.tif is explained as class 2, so --against needs another"),
    ],
)
def test_the_advice_can_be_followed_on_the_command_line(network, options, words, run) -> None:
    code, _, notes = run(network, *options)
    assert code == 2
    assert words in notes


@pytest.mark.slow
def test_a_normalisation_that_was_not_given_is_said(run, tmp_path, capsys) -> None:
    note = "norm= was not given, so the input is normalised as for ImageNet"
    _, out, _ = run("shares", "--json")
    assert [each for each in json.loads(out)["warnings"] if note in each]
    assert note not in run("shares,norm=half")[2]
    assert note not in run("shares,mean=0.5,std=0.5")[2]
    assert note in run("shares,mean=0.5")[2]
    model = ["--model", "mine=python:networks.py:shares,size=32"]
    assert main(["gallery", "deep.tif", *model, "--sizes", "2", "--steps", "1", "--preset", "single"]) == 0
    assert f"mine: {note}" in capsys.readouterr().err
    (tmp_path / "data" / "a").mkdir(parents=True)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "data" / "a" / "red.png")
    asked = ["--metrics", "complexity", "--target", "predicted", "--methods", "centre", "--out", "run"]
    assert main(["bench", "--data", "data", *model, *asked]) == 0
    assert f"mine: {note}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_regression_prints_its_number(run) -> None:
    code, out, notes = run("Age", "--json")
    assert code == 0, notes
    document = json.loads(out)
    assert document["output"] == "a number"
    (number,) = document["predictions"]["deep.tif"]
    assert 45 <= number <= 55
    assert document["results"][0]["score_before"] == pytest.approx(number, rel=1e-4)
    assert document["results"][0]["objective"] == "number"


@pytest.mark.slow
def test_outputs_pages_and_windows_are_chosen(run) -> None:
    code, _, notes = run("Heads")
    assert code == 2
    assert "choose one with --output (features, shares), or in Python, pass an objective" in notes
    code, out, notes = run("Heads", "--output", "shares", "--page", "1", "--window", "2000/1000", "--json")
    assert code == 0, notes
    document = json.loads(out)
    assert document["output"] == "independent probabilities of 3 classes (output shares of 2: features, shares)"
    assert any("page 1 of pages 0 to 1 is used; values from 1500 to 2500" in note for note in document["warnings"])
