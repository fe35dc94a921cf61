"""HDM on photographs that hold two of their class: the boxes say where, and each is found where MDM finds one."""

import os
from pathlib import Path

import pytest
from benchmarks.instances import Group, by_height, groups

from maskstack import HDM, MDM, LoadedModel, load_model

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")

FOLDER = Path(os.environ.get("MASKSTACK_DATA", "")) / "imagenet-val"
PHOTOS = ("ILSVRC2012_val_00000021.jpg", "ILSVRC2012_val_00000660.jpg", "ILSVRC2012_val_00000702.jpg")

pytestmark = pytest.mark.skipif(
    not (FOLDER / "annotations.csv").is_file(),
    reason="MASKSTACK_DATA is not set, so there are no annotated photographs",
)


@pytest.fixture(scope="module")
def net() -> LoadedModel:
    return load_model("bundled")


@pytest.fixture(scope="module")
def pairs(net: LoadedModel) -> dict[str, Group]:
    return {group.name: group for group in groups(FOLDER, net, names=PHOTOS)}


@pytest.mark.parametrize("name", PHOTOS)
def test_both_are_found_where_mdm_finds_one(name: str, net: LoadedModel, pairs: dict[str, Group]) -> None:
    pair = pairs[name]
    images = pair.image.unsqueeze(0)
    found = HDM(net)(images, pair.target)
    assert by_height(found.saliency[0, 0], pair.boxes) == [True, True]
    assert (found.steps > 0).sum() > 1
    assert sum(by_height(MDM(net)(images, pair.target).saliency[0, 0], pair.boxes)) == 1
