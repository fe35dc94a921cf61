"""Bad input: one clear sentence on stderr, exit code 2, no traceback and no partial file."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import maskstack.files
from maskstack.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_bundled")]

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 400 million pixels, which takes a second to write."""
    file = tmp_path_factory.mktemp("bomb") / "bomb.png"
    Image.new("L", (20000, 20000)).save(file)
    return file


@pytest.fixture
def folder(bomb: Path, tmp_path: Path) -> Path:
    Image.fromarray(data.coffee()).save(tmp_path / "good.jpg")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:20000])
    (tmp_path / "empty.jpg").touch()
    shutil.copy(bomb, tmp_path)
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Head(nn.Module):\n"
        "    def __init__(self, last):\n"
        "        super().__init__()\n"
        "        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
        "        self.last = last\n"
        "    def forward(self, x):\n"
        "        return self.last(self.body(x))\n"
        "class Last(nn.Module):\n"
        "    def __init__(self, f):\n"
        "        super().__init__()\n"
        "        self.f = f\n"
        "    def forward(self, y):\n"
        "        return self.f(y)\n"
        "def good(): return Head(Last(lambda y: y))\n"
        "def stepped(): return Head(Last(lambda y: (y.detach() > 0).float()))\n"
        "def nan(): return Head(Last(lambda y: y * float('nan')))\n"
        "def training(): return Head(nn.Dropout(0.5)).train()\n"
    )
    return tmp_path


CASES = {
    "missing file": (["nope.jpg"], "does not exist"),
    "a folder": (["sub"], "is a folder"),
    "text": (["text.jpg"], "not an image"),
    "empty file": (["empty.jpg"], "empty.jpg"),
    "truncated": (["cut.jpg"], "cut.jpg"),
    "bomb": (["bomb.png"], "bomb.png"),
    "one pixel": (["dot.png"], "dot.png"),
    "one bad of two": (["good.jpg", "nope.jpg"], "does not exist"),
    "target out of range": (["good.jpg", "--target", "1000"], "the network has classes 0 to 999"),
    "negative target": (["good.jpg", "--target=-1"], "out of range"),
    "misspelt target": (["good.jpg", "--target", "expresso"], "did you mean espresso"),
    "too many classes": (["good.jpg", "--target", "top1001"], "the network has 1000"),
    "sizes larger than the image": (["good.jpg", "--sizes", "500"], "larger than the image of 128 x 128"),
    "sizes that are no numbers": (["good.jpg", "--sizes", "4,x"], "whole numbers"),
    "a setting out of range": (["good.jpg", "--steps", "0"], "steps is 0; it must be a whole number from 1"),
    "an unknown fill": (["good.jpg", "--fill", "blurr"], "did you mean blur"),
    "an unknown preset": (["good.jpg", "--preset", "papr"], "did you mean paper"),
    "an unknown objective": (["good.jpg", "--objective", "loss"], "must be one of probability"),
    "an unknown option": (["good.jpg", "--stps", "3"], "No such option"),
    "an unknown device": (["good.jpg", "--device", "tpu9"], "there is no device"),
    "unwritable folder": (["good.jpg", "--out", "file/out"], "file is a file; give a folder for the results"),
    "unknown network": (["good.jpg", "--model", "tim:resnet18"], "timm"),
    "corrupt checkpoint": (["good.jpg", "--model", "bundled,weights=bad.safetensors"], "bad.safetensors"),
    "missing checkpoint": (["good.jpg", "--model", "bundled,weights=no.safetensors"], "no.safetensors"),
    "network without gradient": (
        ["good.jpg", "--model", "python:nets:stepped"],
        "no gradient reaches the network's input",
    ),
    "network of NaN": (["good.jpg", "--model", "python:nets:nan"], "NaN"),
}


@pytest.mark.parametrize("name", CASES)
def test_gets_one_sentence_and_leaves_nothing(name, folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    before = sorted(folder.rglob("*"))
    arguments, says = CASES[name]
    code = main(["explain", "--steps", "2", *arguments])
    captured = capsys.readouterr()
    assert code == 2
    assert says in captured.err
    assert "Traceback" not in captured.err
    lines = [line for line in captured.err.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1, captured.err
    after = sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts and path.name != "out")
    assert after == before


def test_a_network_in_training_mode_works(folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    assert main(["explain", "good.jpg", "--model", "python:nets:training", "--steps", "2"]) == 0, capsys.readouterr()


def test_a_full_disk_leaves_nothing_half_written(folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    written = []
    real = os.fsync

    def full_after_one(handle: int) -> None:
        written.append(handle)
        if len(written) > 2:  # the probe and the explanation fit
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(maskstack.files.os, "fsync", full_after_one)
    code = main(["explain", "good.jpg", "--steps", "1", "--sizes", "4", "--out", "res"])
    captured = capsys.readouterr()
    assert code == 2
    assert "No space left on device" in captured.err
    assert [file.name for file in Path("res").iterdir()] == ["good.safetensors"]


def test_ctrl_c_keeps_what_is_finished_and_nothing_half_written(folder) -> None:
    out = folder / "res"
    Image.open(folder / "good.jpg").save(folder / "second.png")
    command = [sys.executable, "-c", "import sys; from maskstack.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    arguments = ["explain", "good.jpg", "second.png", "--members", "1", "--steps", "80", "--out", "res"]
    # A shell that runs the tests in the background ignores Ctrl-C for all it starts; a user's does not.
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    patience = time.monotonic() + 240
    while not (out / "good.json").exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "stopped" in err
    assert "Traceback" not in err
    names = {file.name for file in out.iterdir()}
    assert names == {"good.overlay.png", "good.figure.png", "good.safetensors", "good.json"}
