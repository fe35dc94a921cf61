"""A table never has numbers of two networks or of two functions of one name."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.leaderboard.test_results import row

from maskstack.cli.main import main
from maskstack.errors import InputError, ModelError
from maskstack.leaderboard.record import open_runs, settle
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import Worker
from maskstack.runs.store import Store

NETWORK = """
import torch
from torch import nn

def make():
    torch.manual_seed({seed})
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


def test_a_run_is_not_continued_with_other_weights(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(255, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    network, run = tmp_path / "network.py", tmp_path / "run"
    command = ["bench", "--data", str(tmp_path / "photos"), "--model", f"net=python:{network}:make,size=32,norm=unit"]
    command += ["--methods", "centre", "--metrics", "complexity", "--out", str(run)]
    network.write_text(NETWORK.format(seed=0))
    assert main([*command, "--images", "1"]) == 0
    assert main([*command, "--images", "2"]) == 0
    record = (run / "run.json").read_bytes()
    network.write_text(NETWORK.format(seed=10))
    capsys.readouterr()
    assert main(command) == 2
    assert "the model net has other weights; choose another --out" in " ".join(capsys.readouterr().err.split())
    assert (run / "run.json").read_bytes() == record


METHOD = """
def bright(score, image):
    return {factor} * image[0].mean(dim=0) ** 2
"""


@pytest.mark.slow
def test_a_run_is_not_continued_with_another_file_of_a_method(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    Image.effect_noise((40, 40), 60).convert("RGB").save(tmp_path / "photos" / "a.png")
    Image.effect_noise((40, 40), 60).convert("RGB").save(tmp_path / "photos" / "b.png")
    (tmp_path / "network.py").write_text(NETWORK.format(seed=0))
    (tmp_path / "mine.py").write_text(METHOD.format(factor=1))
    method, run = f"python:{tmp_path / 'mine.py'}:bright", tmp_path / "run"
    command = ["bench", "--data", str(tmp_path / "photos"), "--metrics", "complexity", "--out", str(run)]
    command += ["--model", f"net=python:{tmp_path / 'network.py'}:make,size=32,norm=unit"]
    assert main([*command, "--methods", "centre", "--images", "1"]) == 0
    assert main([*command, "--methods", method, "--images", "1"]) == 0
    (tmp_path / "mine.py").write_text(METHOD.format(factor=-1))
    capsys.readouterr()
    assert main([*command, "--methods", method]) == 2
    assert f"the file of {method} was another one; choose another --out" in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--methods", "centre"]) == 0


def test_runs_of_other_files_of_a_method_are_not_reported_together(tmp_path):
    request = BenchRequest(models=("net=bundled",), data="data", methods=("mdm",), groups=("faithfulness",))
    runs = [tmp_path / name for name in ("one", "same", "other", "old")]
    for run, digest in zip(runs, ("a", "a", "b", None), strict=True):
        settle(run, request, versions={}, code={"python:mine.py:f": digest} if digest else {})
        Store.open(run).write([row("mdm", "a", "insertion_wide", 0.5)])
    assert len(open_runs([runs[0], runs[1], runs[3]])) == 3
    with pytest.raises(InputError, match=r"the file of python:mine\.py:f is another one in"):
        open_runs([runs[0], runs[2]])


def test_runs_of_other_weights_are_not_reported_together(tmp_path):
    request = BenchRequest(models=("net=bundled",), data="data", methods=("mdm",), groups=("faithfulness",))
    runs = [tmp_path / name for name in ("one", "same", "other", "old")]
    for run, digest in zip(runs, ("a", "a", "b", None), strict=True):
        settle(run, request, versions={}, weights={"net": digest} if digest else {})
        Store.open(run).write([row("mdm", "a", "insertion_wide", 0.5)])
    assert len(open_runs([runs[0], runs[1], runs[3]])) == 3
    with pytest.raises(InputError, match="net has other weights in"):
        open_runs([runs[0], runs[2]])


def test_a_run_of_an_earlier_version_notes_the_weights_from_now_on(tmp_path):
    request = BenchRequest(models=("net=bundled",), data="data", methods=("mdm",), groups=("faithfulness",))
    settle(tmp_path, request, versions={})
    Store.open(tmp_path).write([row("mdm", "a", "insertion_wide", 0.5)])
    settle(tmp_path, request, versions={}, weights={"net": "a"})
    assert json.loads((tmp_path / "run.json").read_text())["weights"] == {"net": "a"}
    with pytest.raises(InputError, match="other weights"):
        settle(tmp_path, request, versions={}, weights={"net": "b"})


def test_a_process_with_other_weights_is_refused(tmp_path):
    (tmp_path / "network.py").write_text(NETWORK.format(seed=0))
    spec = f"net=python:{tmp_path / 'network.py'}:make,size=32,norm=unit"
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "photos" / "a.png")
    request = BenchRequest(models=(spec,), data=str(tmp_path / "photos"), methods=("centre",), groups=("complexity",))
    weights = Worker(request).weights()
    assert Worker(request, weights).weights() == weights
    (tmp_path / "network.py").write_text(NETWORK.format(seed=10))
    with pytest.raises(ModelError, match="net has other weights in this process"):
        Worker(request, weights).network("net")
