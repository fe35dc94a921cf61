"""The README's Python runs as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

pytestmark = pytest.mark.slow

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the README takes for granted: a network of one's own, images and photos."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")
    quantus = pytest.importorskip("quantus", reason="quantus is not installed")
    pytest.importorskip("captum", reason="captum is not installed")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64)
    return {
        "network": nn.Sequential(
            nn.Conv2d(3, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)
        ),
        "images": images,
        "photos": [Image.fromarray(data.chelsea()), Image.fromarray(data.coffee())],
        "quantus": quantus,
        "x": images.numpy(),
        "y": torch.tensor([0, 1]).numpy(),
    }


@pytest.mark.parametrize("index", range(3))
def test_block_runs(index: int, names: dict[str, Any]) -> None:
    assert len(BLOCKS) == 3
    block = "from maskstack import MDM\n" + BLOCKS[index]
    if index == 0:
        block += "assert explanation.saliency.shape == (2, 1, 64, 64)\n"
    if index == 1:
        block += "assert found.target_name == ('tiger cat', 'espresso')\n"
    exec(compile(block, str(README), "exec"), names)
