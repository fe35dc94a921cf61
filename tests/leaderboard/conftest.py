"""A small annotated data set of real photographs, and a run over it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image
from skimage import data as photos
from tests.leaderboard.runs import run_bench


@pytest.fixture(scope="session")
def annotated(tmp_path_factory) -> Path:
    """Four photographs with ImageNet classes and boxes (one without), as a CSV beside an images folder."""
    folder = tmp_path_factory.mktemp("annotated")
    (folder / "images").mkdir()
    rows = [
        ("cat.jpg", photos.chelsea(), 282, [[80, 20, 400, 290]]),
        ("coffee.jpg", photos.coffee(), 967, [[120, 60, 480, 350]]),
        ("tripod.jpg", photos.camera(), 872, [[230, 130, 460, 480], [10, 10, 60, 60]]),
        ("rocket.jpg", photos.rocket(), 657, []),
    ]
    with (folder / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class_index", "boxes_xyxy"])
        for name, pixels, index, boxes in rows:
            Image.fromarray(pixels).convert("RGB").save(folder / "images" / name)
            writer.writerow([name, index, json.dumps(boxes)])
    return folder


@pytest.fixture(scope="session")
def whole_run(annotated, tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = run_bench(annotated, out)
    assert done.returncode == 0, done.stderr
    return out
