"""Small data sets of real photographs, and a network trained on them with a real pretrained backbone."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.config import Config
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.xprotonet import XProtoNet

PHOTOS = {"cat": "chelsea", "coffee": "coffee", "person": "astronaut"}
"""Each class is made of crops of one photograph, so that there is something to learn."""

CROPS = {"train": 6, "test": 4}


def toy(
    kind: type[ProtoPNet] | type[XProtoNet],
    owners: tuple[int, ...],
    *,
    classes: int,
    channels: int,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    stem: nn.Module | None = None,
    **options: str,
) -> ProtoPNet | XProtoNet:
    """A random network with prototypes of four dimensions; without a stem, images are their own features."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = Backbone(stem or nn.Identity(), nn.Identity(), channels=channels)
        network = kind(backbone, owners, classes=classes, dimension=4, **options).to(dtype)
        for parameter in network.add_on.parameters():
            nn.init.normal_(parameter)
    return network


class Silent:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.images = 0

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def caching(self, what: str, images: int) -> None:
        """Nothing to remember."""

    def advance(self, images: int) -> None:
        self.images += images


def crops(name: str, many: int, *, seed: int = 0) -> Iterator[Image.Image]:
    """Different parts of one of scikit-image's photographs, of 72 x 72 pixels."""
    photos = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")
    photo = Image.fromarray(getattr(photos, PHOTOS[name])())
    chance = random.Random(f"{seed}/{name}")
    for _ in range(many):
        side = chance.randint(110, 180)
        left, top = chance.randint(60, photo.width - side - 60), chance.randint(0, photo.height - side)
        yield photo.crop((left, top, left + side, top + side)).resize((72, 72))


def write_folders(root: Path, classes: tuple[str, ...] = tuple(PHOTOS)) -> Path:
    """``train/CLASS/0.png`` and so on."""
    for name in classes:
        pictures = crops(name, sum(CROPS.values()))
        for split, many in CROPS.items():
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(many):
                next(pictures).save(root / split / name / f"{number}.png")
    return root


def write_table(root: Path) -> Path:
    """``images.csv`` of images with two labels: a patient has two images, some are of both classes or of none."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    kinds = {name: crops(name, 20) for name in PHOTOS}
    chances = [("cat", 1, 0), ("coffee", 0, 1), ("person", 0, 0)]
    with (root / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "patient", "split", "furry", "brown"])
        for number in range(30):
            name, furry, brown = chances[number // 2 % 3]
            next(kinds[name]).save(root / "images" / f"{number:02}.png")
            split = "train" if number < 18 else "test"
            writer.writerow([f"{number:02}.png", f"p{number // 2}", split, furry, int(brown or number % 10 == 0)])
    return root


def config(root: Path | str, kind: str = "protopnet", **tables: Mapping[str, Any]) -> Config:
    """A quick training; tables change it."""
    stages = [
        {"name": "warm", "epochs": 3, "learning_rate": 0.01},
        {"name": "push"},
        {"name": "last", "epochs": 2, "learning_rate": 0.001},
    ]
    values: dict[str, dict[str, Any]] = {
        "network": {
            "kind": kind,
            "backbone": "bundled,crop=squash,size=64",
            "layer": "_blocks.4",
            "per_class": 2,
            "dimension": 8,
        },
        "data": {"path": str(root), "validation_share": 0.3},
        "training": {"views": 1, "batch_size": 8, "stages": stages},
    }
    for name, table in tables.items():
        values[name].update(table)
    return Config.from_dict(values)


def as_toml(made: Config) -> str:
    """The configuration as a user would write it."""
    lines = []
    values = made.as_dict()
    stages = values["training"].pop("stages")
    for table, keys in values.items():
        lines += [f"[{table}]", *(f"{key} = {_written(value)}" for key, value in keys.items())]
    for stage in stages:
        lines += ["[[training.stages]]", *(f"{key} = {_written(value)}" for key, value in stage.items())]
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_written(each)}" for key, each in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> Path:
    """Three classes, folder by folder; only read."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    return write_folders(tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="session")
def labelled(tmp_path_factory) -> Path:
    """Two labels in a table; only read."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    return write_table(tmp_path_factory.mktemp("labelled"))


@pytest.fixture
def own_folders(folders, tmp_path) -> Path:
    """A copy of the folders that a test may change."""
    return Path(shutil.copytree(folders, tmp_path / "data"))


@pytest.fixture
def own_labelled(labelled, tmp_path) -> Path:
    """A copy of the table that a test may change."""
    return Path(shutil.copytree(labelled, tmp_path / "labelled"))


@pytest.fixture(scope="session")
def trained(folders, tmp_path_factory) -> Path:
    """The folder of a finished training of ProtoPNet."""
    from maskstack.prototypes.run import train

    out = tmp_path_factory.mktemp("trained") / "run"
    train(config(folders), out, Silent())
    return out


@pytest.fixture(scope="session")
def trained_labels(labelled, tmp_path_factory) -> Path:
    """The folder of a finished training of XProtoNet."""
    from maskstack.prototypes.run import train

    out = tmp_path_factory.mktemp("trained") / "labels"
    train(config(labelled, "xprotonet", data={"labels": ["furry", "brown"], "group": "patient"}), out, Silent())
    return out
