"""Damaged and edited files of every format that is read: each loads, or is refused in one sentence."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.hardening.counts import Tally, tries
from tests.hardening.damage import damaged, edited_json, edited_text
from tests.small import network

from maskstack.errors import MaskstackError
from maskstack.models import load_model, open_photo

pytestmark = pytest.mark.slow

Edit = Callable[..., Iterator[bytes]]


def attack(path: Path, read: Callable[[], Any], edits: list[tuple[Edit, int]], tally: Tally, *, seed: int = 0) -> None:
    """Read a file after each change of it: nothing but a sentence of this package may be raised.

    Args:
        path: The file that is changed.
        read: Reads it, or the folder that it belongs to, and uses what it holds.
        edits: How it is changed, and how many times.
        tally: Counts the trials.
        seed: Of the changes.
    """
    whole = path.read_bytes()
    read()
    for edit, count in edits:
        for number, content in enumerate(edit(whole, count, seed=seed)):
            path.write_bytes(content)
            with tally.trial(f"{path.name}, {edit.__name__} {number}"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read()
                except MaskstackError as error:
                    assert "\n" not in str(error).strip(), str(error)
                    assert len(str(error)) < 1500, str(error)
                except MemoryError as error:
                    raise AssertionError("memory") from error
    path.write_bytes(whole)


def photo(path: Path, size: tuple[int, int] = (90, 60)) -> Path:
    """Save noise as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 40).convert("RGB").save(path)
    return path


def use_images(path: Path, **options: Any) -> Callable[[], None]:
    """Lists a data set, and opens its images with their masks."""
    from maskstack.datasets import load_images

    def read() -> None:
        for image in load_images(path, **options):
            image.mask(image.open().size)

    return read


def write(path: Path, text: str) -> Path:
    """Write a text, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_tables_of_ones_own(tally, tmp_path) -> None:
    photo(tmp_path / "images" / "a.jpg")
    photo(tmp_path / "images" / "b.jpg")
    path = write(
        tmp_path / "annotations.csv",
        'file,class_index,class_name,boxes_xyxy\na.jpg,2,tabby,"[[1, 2, 3.5, 4], [0, 0, 9, 9]]"\nb.jpg,5,,\n',
    )
    attack(path, use_images(path), [(damaged, tries(15, 60)), (edited_text, tries(25, 100))], tally)
    path = write(tmp_path / "my.csv", "file,class,split,x1,y1,x2,y2\na.jpg,dog,test,1,2,3,4\nb.jpg,cat,train,,,,\n")
    attack(path, use_images(path), [(edited_text, tries(25, 80))], tally)


def test_imagenet_tables(tally, tmp_path) -> None:
    photo(tmp_path / "n01.JPEG", (500, 400))
    path = write(tmp_path / "LOC_val_solution.csv", "ImageId,PredictionString\nn01,n01440764 10 20 100 200\n")
    write(tmp_path / "LOC_synset_mapping.txt", "n01440764 tench\nn01443537 goldfish\n")
    for each in (path, tmp_path / "LOC_synset_mapping.txt"):
        try:
            use_images(tmp_path)()
        except MaskstackError:
            pytest.skip("no list of this form")
        attack(each, use_images(tmp_path), [(edited_text, tries(15, 50))], tally)


def packed(counts: list[int]) -> str:
    """COCO's compressed text of up to three run lengths."""
    text = ""
    for value in counts:
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = not ((value == 0 and not bits & 16) or (value == -1 and bits & 16))
            text += chr(48 + (bits | 32 if more else bits))
    return text


def test_coco(tally, tmp_path) -> None:
    from tests.datasets.test_from_coco import content

    for name in ("a", "b"):
        photo(tmp_path / "val2017" / f"{name}.jpg")
    path = write(tmp_path / "annotations" / "instances_val2017.json", json.dumps(content()))
    attack(path, use_images(tmp_path), [(damaged, tries(15, 60)), (edited_json, tries(40, 300))], tally)
    # The letters of packed run lengths.
    held = content()
    held["annotations"][2]["segmentation"] = {"size": [60, 90], "counts": packed([0, 60, 5340])}
    path.write_text(json.dumps(held))
    attack(path, use_images(tmp_path, format="coco"), [(edited_text, tries(15, 100))], tally)


def test_voc(tally, tmp_path) -> None:
    from tests.datasets.test_from_voc import thing, xml

    for name in ("a", "b"):
        photo(tmp_path / "JPEGImages" / f"{name}.jpg")
        path = write(tmp_path / f"Annotations/{name}.xml", xml(f"{name}.jpg", thing("dog", 1, 1, 60, 50)))
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "a\nb\n")
    attack(path, use_images(tmp_path), [(damaged, tries(15, 80)), (edited_text, tries(30, 150))], tally)
    listed = tmp_path / "ImageSets" / "Main" / "val.txt"
    attack(listed, use_images(tmp_path, split="val"), [(damaged, 10), (edited_text, tries(10, 30))], tally)


def test_cub(tally, tmp_path) -> None:
    for name in ("001.Albatross/a.jpg", "002.Auk/b.jpg"):
        photo(tmp_path / "images" / name)
    texts = {
        "images.txt": "1 001.Albatross/a.jpg\n2 002.Auk/b.jpg\n",
        "classes.txt": "1 001.Albatross\n2 002.Auk\n",
        "image_class_labels.txt": "1 1\n2 2\n",
        "bounding_boxes.txt": "1 10.0 5.0 30.0 20.0\n2 0.0 0.0 1.0 1.0\n",
        "train_test_split.txt": "1 1\n2 0\n",
        "parts/parts.txt": "1 back\n2 left eye\n",
        "parts/part_locs.txt": "1 1 12.0 13.0 1\n1 2 0.0 0.0 0\n2 2 4.0 5.0 1\n",
    }
    paths = [write(tmp_path / name, text) for name, text in texts.items()]
    for path in paths:
        attack(path, use_images(tmp_path), [(damaged, tries(4, 12)), (edited_text, tries(8, 25))], tally)


def test_saved_hugging_face_data_sets(tally, tmp_path) -> None:
    library = pytest.importorskip("datasets", reason="the package datasets is not installed")
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog"])})
    pictures = [Image.new("RGB", (20, 30), (10 * number,) * 3) for number in range(2)]
    folder = tmp_path / "saved"
    library.Dataset.from_dict({"image": pictures, "label": [0, 1]}, features=features).save_to_disk(folder)
    for path in sorted(folder.iterdir()):
        edits: list[tuple[Edit, int]] = [(damaged, tries(10, 60))]
        if path.suffix == ".json":
            edits += [(edited_json, tries(15, 60))]
        attack(path, use_images(folder), edits, tally)


def test_dicom(tally, tmp_path) -> None:
    pytest.importorskip("pydicom", reason="the extra 'medical' is not installed")
    from tests.models.test_levels import dicom

    stored = np.arange(24 * 20, dtype=np.int16).reshape(24, 20) - 100
    path = dicom(tmp_path / "a.dcm", stored, WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=-10)
    attack(path, lambda: open_photo(path), [(damaged, tries(40, 200))], tally)
    # Most of a file is pixels, so its head is changed on its own.
    head = path.read_bytes()[:-960]

    def in_head(content: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
        for changed in damaged(head, count, seed=seed + 1):
            yield changed + content[-960:]

    attack(path, lambda: open_photo(path), [(in_head, tries(40, 300))], tally)


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_nifti(ending, tally, tmp_path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="the extra 'medical' is not installed")
    values = np.arange(12 * 10 * 3, dtype=np.int16).reshape(12, 10, 3)
    path = tmp_path / f"scan.{ending}"
    nibabel.Nifti1Image(values, np.eye(4)).to_filename(path)

    def in_head(content: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
        for changed in damaged(content[:352], count, seed=seed + 1):
            yield changed + content[352:]

    edits: list[tuple[Edit, int]] = [(damaged, tries(20, 100))]
    edits += [(in_head, tries(20, 200))] if ending == "nii" else []
    attack(path, lambda: open_photo(path, page=1), edits, tally)


def test_class_names(tally, tmp_path) -> None:
    from maskstack.models.classes import read_names

    path = write(tmp_path / "names.txt", "cat\ndog\nÉgyptian owl\n")
    attack(path, lambda: read_names(path), [(damaged, tries(15, 60)), (edited_text, tries(15, 40))], tally)


def test_lists_of_networks(tally, tmp_path) -> None:
    from maskstack.web.networks import offered

    path = write(tmp_path / "models.toml", 'mine = "bundled"\nother = "timm:resnet18,size=64"\n')
    read = lambda: offered(folder=tmp_path)  # noqa: E731
    attack(path, read, [(damaged, tries(15, 60)), (edited_text, tries(15, 60))], tally)


def test_configurations_of_a_training(tally, tmp_path) -> None:
    from tests.prototypes.conftest import as_toml, config

    from maskstack.prototypes.config import read_config

    path = write(tmp_path / "train.toml", as_toml(config("data")))
    attack(path, lambda: read_config(path), [(damaged, tries(15, 60)), (edited_text, tries(30, 150))], tally)


def test_prototype_networks(tally, tmp_path) -> None:
    """Each file damaged; then the JSON edited with a digest that fits, as somebody who means harm would do."""
    pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")
    from maskstack.prototypes import checkpoint
    from maskstack.prototypes.building import build
    from maskstack.prototypes.config import Config
    from maskstack.prototypes.push import Source

    (tmp_path / "net.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), "
        "nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))\n"
    )
    made = Config.from_dict(
        {
            "network": {
                "kind": "protopnet", "backbone": f"python:{tmp_path / 'net.py'}:make,size=16", "layer": "1",
                "per_class": 1, "dimension": 4,
            },
            "data": {"path": "data"},
            "training": {"stages": [{"name": "warm", "epochs": 1, "learning_rate": 0.1}, {"name": "push"}]},
        }
    )  # fmt: skip
    built = build(made.network, classes=2, seed=0)
    sources = (Source("train/a/1.png", 0, 0, 0.5), Source("train/b/1.png", 1, 1, 0.5))
    trained = checkpoint.Prototypes(built.network, built.model, made, ("a", "b"), False, sources)
    folder = tmp_path / "checkpoint"
    checkpoint.save(trained, folder, pictures={"train/a/1.png": Image.new("RGB", (16, 16))})

    def read() -> None:
        found = checkpoint.load(folder, allow_code=True)
        for number in range(len(found.sources)):
            found.source_picture(number)

    about = folder / checkpoint.ABOUT

    def resealed(content: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
        for text in edited_json(content, count, seed=seed):
            held = json.loads(text)
            if isinstance(held, dict):
                held["digest"] = checkpoint._digest(held)
            yield json.dumps(held).encode()

    attack(about, read, [(damaged, tries(15, 60)), (resealed, tries(60, 500))], tally)
    attack(folder / checkpoint.TENSORS, read, [(damaged, tries(15, 100))], tally)
    attack(next((folder / "sources").iterdir()), read, [(damaged, tries(10, 30))], tally)


def test_records_of_runs(tally, tmp_path) -> None:
    import dataclasses

    from maskstack.leaderboard.record import open_runs
    from maskstack.leaderboard.request import BenchRequest

    request = BenchRequest(models=("bundled",), data="data", methods=("mdm",), groups=("faithfulness",))
    held = {"format": "maskstack-run-1", **dataclasses.asdict(request), "specs": request.specs, "versions": {}}
    path = write(tmp_path / "run.json", json.dumps(held))
    edits: list[tuple[Edit, int]] = [(damaged, tries(15, 60)), (edited_json, tries(40, 200))]

    def read() -> None:
        open_runs([tmp_path])

    attack(path, read, edits, tally)


def test_onnx(tally, tmp_path) -> None:
    pytest.importorskip("onnx2torch", reason="the extra 'models' is not installed")
    from tests.models.conftest import TinyNet
    from tests.models.test_onnx import write_onnx

    path = write_onnx(tmp_path / "tiny.onnx", TinyNet().eval())
    read = lambda: load_model(f"onnx:{path}").model(torch.rand(1, 3, 32, 32))  # noqa: E731
    attack(path, read, [(damaged, tries(40, 250))], tally)


def test_exported_programs(tally, tmp_path) -> None:
    """The archive damaged, and then each JSON within it edited."""
    from tests.models.conftest import TinyNet
    from tests.models.test_exported import export, rewrite

    whole = export(tmp_path / "whole.pt2", TinyNet().eval(), dynamic=True)
    path = Path(shutil.copy(whole, tmp_path / "tiny.pt2"))
    read = lambda: load_model(f"exported:{path}").model(torch.rand(2, 3, 32, 32))  # noqa: E731
    attack(path, read, [(damaged, tries(25, 150))], tally)

    def inside(content: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
        import zipfile

        with zipfile.ZipFile(whole) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json")]
            held = {name: archive.read(name) for name in names}
        for number in range(count):
            name = names[number % len(names)]
            for edited in edited_json(held[name], 1, seed=seed + number):
                path.write_bytes(content)
                rewrite(path, name.rpartition("/")[2], lambda _, edited=edited: edited)
                yield path.read_bytes()

    attack(path, read, [(inside, tries(30, 200))], tally)


def test_hugging_face_folders(tally, tmp_path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    from tests.models.test_hf import config

    folder = tmp_path / "tiny-vit"
    transformers.ViTForImageClassification(config()).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    read = lambda: load_model(f"hf:{folder}")  # noqa: E731
    for path in sorted(folder.iterdir()):
        edits: list[tuple[Edit, int]] = [(damaged, tries(8, 60))]
        edits += [(edited_json, tries(12, 100))] if path.suffix == ".json" else []
        attack(path, read, edits, tally)


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_in_a_spec(ending, tally, tmp_path) -> None:
    import safetensors.torch

    (tmp_path / "net.py").write_text("from tests.small import network\n\ndef make():\n    return network()\n")
    path = tmp_path / f"net.{ending}"
    state = network().state_dict()
    if ending == "pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    read = lambda: load_model(f"python:{tmp_path / 'net.py'}:make,weights={path}")  # noqa: E731
    attack(path, read, [(damaged, tries(25, 150))], tally)
