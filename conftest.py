"""Which files the tests are looked for in: importing a file can take seconds for the packages that it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WHOLLY_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b", re.MULTILINE)
SOURCE = Path(__file__).parent / "src"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out modules without an example, and for ``make quick`` files in which every test is slow."""
    if collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    if collection_path.is_relative_to(SOURCE):
        return True if ">>>" not in text else None
    return True if config.option.markexpr == "not slow" and WHOLLY_SLOW.search(text) else None
