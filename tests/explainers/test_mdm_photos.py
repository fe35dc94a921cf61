"""The default on real photographs and a real network: the map lies on what the class is."""

import pytest
import torch
from PIL import Image

from maskstack import MDM, LoadedModel, load_model

pytestmark = pytest.mark.slow

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")

# Marked by hand on what the network sees, 224 x 224: x1 y1 x2 y2.
REGIONS = {"coffee": ("espresso", (25, 0, 195, 140)), "camera": ("tripod", (85, 95, 215, 224))}


@pytest.fixture(scope="module")
def net() -> LoadedModel:
    return load_model("bundled")


@pytest.mark.parametrize("photo", REGIONS)
def test_the_map_lies_on_the_object(photo: str, net: LoadedModel) -> None:
    name, (x1, y1, x2, y2) = REGIONS[photo]
    image = net.preprocess(Image.fromarray(getattr(data, photo)()))
    found = MDM(net)(image.unsqueeze(0))
    assert found.target_name == (name,)
    assert found.trust.problems == (None,)
    saliency = found.saliency[0, 0]
    inside = torch.zeros_like(saliency, dtype=torch.bool)
    inside[y1:y2, x1:x2] = True
    assert inside.flatten()[saliency.argmax()]
    assert saliency[inside].sum() / saliency.sum() > 1.5 * inside.float().mean()
    assert found.score_under_stack > 0.8 * found.score_before
    assert found.area < 0.4


def test_the_map_is_about_the_class_asked_for(net: LoadedModel) -> None:
    image = net.preprocess(Image.fromarray(data.camera())).unsqueeze(0).expand(2, -1, -1, -1)
    tripod, harmonica = (net.class_names.index(name) for name in ("tripod", "harmonica"))
    found = MDM(net, preset="fast")(image, [tripod, harmonica])
    low = found.saliency[:, 0, 150:, 85:215].sum(dim=(1, 2)) / found.saliency.sum(dim=(1, 2, 3))
    assert low[0] > 1.5 * low[1], "the tripod's legs speak for the tripod, not for the harmonica"
