"""The benchmarks of speed measure something at their smallest size, and end with an error if they cannot."""

import re
import sys

import numpy as np
import pytest
from benchmarks import engine, folder, memory, scale, startup
from PIL import Image


def printed(monkeypatch, capsys, module, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    module.main()
    return capsys.readouterr().out


@pytest.mark.slow
def test_the_engine_is_measured(monkeypatch, capsys) -> None:
    out = printed(monkeypatch, capsys, engine, "--smoke")
    assert re.search(r"16 maps: [\d.]+ a second", out)
    assert re.search(r"resume with nothing left: [\d.]+ s", out)


@pytest.mark.slow
def test_the_growth_with_images_is_measured(monkeypatch, capsys) -> None:
    out = printed(monkeypatch, capsys, scale, "--smoke")
    for part in scale.PARTS:
        assert re.search(rf"^\| {part}, s \| [\d.]+ \| [\d.]+ \| [-\d.]+ \| [\d,]+ \|$", out, re.MULTILINE)
    with pytest.raises(SystemExit, match="ascending"):
        printed(monkeypatch, capsys, scale, "--images", "5")


@pytest.mark.slow
def test_a_folder_is_measured(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (60, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    out = printed(monkeypatch, capsys, folder, str(tmp_path), "--smoke")
    assert len(re.findall(r"ratio [\d.]+ x", out)) == 4
    assert re.search(r"rank correlation of the maps at least [01]\.\d+, mean", out)


@pytest.mark.slow
def test_a_start_is_measured_and_a_failing_one_is_not(monkeypatch, capsys) -> None:
    assert printed(monkeypatch, capsys, startup, "--smoke").count(" x |") == 3
    with pytest.raises(SystemExit, match="was not measured"):
        startup.seconds(("-c", "raise SystemExit(3)"))


def test_memory_needs_more_images_than_it_starts_with(monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit, match="has to be below"):
        printed(monkeypatch, capsys, memory, "--few", "4", "--many", "4")
