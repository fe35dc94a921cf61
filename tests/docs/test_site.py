"""The site builds without a warning, and asks no other server for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed")
    out = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[-4000:]
    return out


def test_every_page_is_there(site):
    pages = {str(page.relative_to(ROOT / "docs").with_suffix(".html")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages <= {str(page.relative_to(site)) for page in site.rglob("*.html")}


def test_nothing_comes_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"?(https?://[^\"\s>]+)", text)
        assert not loaded, f"{page.name} loads {loaded}"


def test_every_command_has_its_options(site):
    text = (site / "cli.html").read_text(encoding="utf-8")
    for shown in ("maskstack explain", "maskstack gallery", "maskstack app", "maskstack prototypes train", "--animate"):
        assert shown in text


def test_the_api_has_its_objects(site):
    text = (site / "api" / "explaining.html").read_text(encoding="utf-8")
    for shown in ("maskstack.MDM", "maskstack.Explanation.save", "maskstack.Trust.verdict"):
        assert f'id="{shown}"' in text
    assert not re.findall(r":(?:class|func|meth):", text)
