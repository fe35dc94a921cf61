"""The project's files agree with each other: versions, lowest versions, and links that work outside the repository."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from maskstack import __version__

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    declared = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["demo"]
    listed = re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "requirements" / "lowest.txt").read_text(), re.MULTILINE)
    found = {name: version.removesuffix(".0") for name, version in listed}
    assert found == {name: version.removesuffix(".0") for name, version in (each.split(">=") for each in declared)}


def test_the_extra_all_has_every_extra_for_users() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    assert set(re.findall(r"\w+", everything)[1:]) == set(extras) - {"all", "dev"}


def test_the_readme_has_no_relative_link() -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []


def test_links_of_the_readme_into_the_repository_have_a_file() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"maskstack/maskstack/(?:blob/)?main/([^)#]+)", text)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_version_to_cite_is_the_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "script",
    [file for folder in ("docs", "examples") for file in sorted((ROOT / folder).glob("*.py"))],
    ids=lambda script: script.name,
)
def test_what_a_script_of_the_pages_imports_from_the_package_exists(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("maskstack"):
            module = importlib.import_module(node.module)
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []
