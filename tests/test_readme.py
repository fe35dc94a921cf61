"""The README's Python runs as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.usefixtures("short_searches")
def test_the_blocks_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one test, as later blocks use names of earlier ones, and tests may run in several processes."""
    for package in ("efficientnet_lite_pytorch", "quantus", "captum"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    first, second, third = BLOCKS
    exec(compile(first, str(README), "exec"), names)
    assert names["explanation"].saliency.shape == (2, 1, 64, 64)
    exec(compile(second, str(README), "exec"), names)
    assert names["found"].target_name == ("tiger cat", "espresso")
    exec(compile(third, str(README), "exec"), names)
