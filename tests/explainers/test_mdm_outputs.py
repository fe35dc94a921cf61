"""Networks that answer with something else than class scores: a segmentation, an embedding, detections."""

from typing import Any

import pytest
import torch
from tests.small import photos
from torch import Tensor

from maskstack import MDM, objectives

timm = pytest.importorskip("timm", reason="the extra 'models' is not installed")
torchvision = pytest.importorskip("torchvision", reason="the extra 'models' is not installed")

SETTINGS = {"sizes": (3, 7), "steps": 6, "consistency": "absolute"}


@pytest.mark.slow
def test_a_region_of_a_segmentation_is_explained() -> None:
    torch.manual_seed(0)
    network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4
    )
    mask = torch.zeros(64, 64)
    mask[8:24, 30:50] = 1
    images = photos(2, (64, 64))
    found = MDM(network, **SETTINGS)(images, objectives.region(mask, channel=2))
    with torch.no_grad():
        expected = network.eval()(images)["out"][:, 2, 8:24, 30:50].mean(dim=(1, 2))
    assert torch.allclose(found.score_before, expected, atol=1e-4)
    assert len(torch.unique(found.grids[1])) > 1


@pytest.mark.slow
def test_the_likeness_of_embeddings_is_explained() -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=0, img_size=64).eval()
    images = photos(3, (64, 64))
    with torch.no_grad():
        others = network(images.flip(-1))
    found = MDM(network, **SETTINGS)(images, objectives.cosine(others))
    with torch.no_grad():
        expected = torch.cosine_similarity(network(images), others)
    assert torch.allclose(found.score_before, expected, atol=1e-4)
    assert found.target is None


def detections(output: Any) -> tuple[Tensor, Tensor]:
    """torchvision's list of dicts as padded tensors."""
    longest = max(len(found["scores"]) for found in output)
    pad = [longest - len(found["scores"]) for found in output]
    boxes = [torch.nn.functional.pad(found["boxes"], (0, 0, 0, n)) for found, n in zip(output, pad, strict=True)]
    scores = [torch.nn.functional.pad(found["scores"], (0, n)) for found, n in zip(output, pad, strict=True)]
    return torch.stack(boxes), torch.stack(scores)


@pytest.mark.slow
def test_a_box_of_a_detection_network_is_explained() -> None:
    torch.manual_seed(0)
    network = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3, score_thresh=0.01, detections_per_img=50
    ).eval()
    images = photos(2, (96, 96))
    with torch.no_grad():
        boxes, scores = detections(network(images))
    found = MDM(network, **SETTINGS)(images, objectives.box_score(boxes[:, 0], detections))
    assert torch.all(found.score_before >= scores[:, 0] - 1e-4)
    assert len(torch.unique(found.grids[1])) > 1
