"""The samples of a page that runs for hours stay."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
from pathlib import Path
import gradio, torch
from gradio.route_utils import delete_files_created_by_app
from maskstack.web.explain_tab import ExplainTab
from maskstack.web.networks import Networks
from maskstack.web.sessions import Sessions
root = Path.cwd()
sample, upload = root / "samples" / "cat.jpg", root / "1" / "cat.jpg"
with gradio.Blocks(analytics_enabled=False) as page:
    networks = Networks({"net": "bundled"}, device=torch.device("cpu"))
    tab = ExplainTab(networks, Sessions(), samples={"cat": sample}, root=root, max_pixels=100)
for path in (sample, upload):
    path.parent.mkdir()
    path.touch()
    tab.at.photo.move_resource_to_block_cache(path)
delete_files_created_by_app(page, None)
print(sample.is_file(), upload.exists())
"""


def test_a_sample_stays_when_gradio_removes_what_was_shown_long_ago(tmp_path) -> None:
    pytest.importorskip("gradio", reason="the extra 'web' is not installed")
    # In a process of its own: importing Gradio leaves resources open.
    env = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path), "GRADIO_ANALYTICS_ENABLED": "False"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.split() == ["True", "False"], done.stderr
