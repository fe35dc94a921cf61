"""A small annotated data set of real photographs, and a run over it."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from skimage import data as photos
from tests.leaderboard.runs import run_bench

from maskstack.leaderboard.record import settle
from maskstack.leaderboard.request import BenchRequest
from maskstack.runs.rows import FAILED, ResultRow
from maskstack.runs.store import Store


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made once for all processes of the tests; nothing in it may be changed."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / f"{name}.lock"):
        if not (shared / f"{name}.made").exists():
            shutil.rmtree(shared / name, ignore_errors=True)
            make(shared / name)
            (shared / f"{name}.made").touch()
    return shared / name


@pytest.fixture(scope="session")
def annotated(tmp_path_factory) -> Path:
    """Four photographs with ImageNet classes and boxes (one without), as a CSV beside an images folder."""
    return made_once(tmp_path_factory, "annotated", write_annotated)


def write_annotated(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
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


@pytest.fixture(scope="session")
def whole_run(annotated, tmp_path_factory) -> Path:
    """A run that nothing disturbed; once for all processes of the tests."""

    def run(out: Path) -> None:
        done = run_bench(annotated, out)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "whole", run)


def row(method, image, metric, value, **more):
    fixed = {"group": "faithfulness", "protocol": json.dumps({"steps": 4}), "target": 7, "forward": 10, "backward": 2}
    return ResultRow("net", method, image, metric=metric, value=value, **{**fixed, **more})


@pytest.fixture(scope="session")
def written_run(tmp_path_factory) -> Path:
    """A run in which mdm is better than gradcam by 0.1 on every image, rise has few images and lime fails."""
    folder = tmp_path_factory.mktemp("written") / "run"
    request = BenchRequest(
        models=("net=timm:resnet18",), data=str(folder.parent), methods=("mdm", "gradcam", "rise", "random"),
        groups=("faithfulness",),
    )  # fmt: skip
    settle(folder, request, versions={"maskstack": "test"})
    store, random = Store.open(folder), np.random.default_rng(5)
    for index in range(40):
        image = f"<script>alert({index})</script>.jpg"
        base = float(random.uniform(0.3, 0.6))
        for method, above in (("mdm", 0.1), ("gradcam", 0.0), ("random", -0.2)):
            store.write([
                row(method, image, "insertion_wide", base + above, curve=(0.0, base, 1.0)),
                row(method, image, "deletion_zero", 0.5 - above, curve=(1.0, base, 0.0)),
            ])  # fmt: skip
        if index < 5:
            store.write([row("rise", image, "insertion_wide", base + 0.05)])
        store.write([row("lime", image, FAILED, None, failure="method: no <b>memory</b>")])
    store.merge()
    # The same pair once more, as a kill between merging and clearing leaves it.
    store.write([row("gradcam", "<script>alert(0)</script>.jpg", "insertion_wide", 0.5)])
    return folder


@pytest.fixture
def run(written_run, tmp_path) -> Path:
    """A copy of ``written_run``, to which a test may add."""
    return Path(shutil.copytree(written_run, tmp_path / "run"))
