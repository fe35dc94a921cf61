"""The README's Python runs as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """The names that the blocks define, one after the other."""
    for package in ("efficientnet_lite_pytorch", "quantus", "captum"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    torch.manual_seed(0)
    return {}


@pytest.mark.parametrize("index", range(3))
def test_block_runs(index: int, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) == 3
    block = BLOCKS[index]
    if index == 0:
        block += "assert explanation.saliency.shape == (2, 1, 64, 64)\n"
    if index == 1:
        block += "assert found.target_name == ('tiger cat', 'espresso')\n"
    exec(compile(block, str(README), "exec"), names)
