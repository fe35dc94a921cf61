"""What pages and README show is true: Python runs, commands exist and take these options, and what can run does."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main
from markdown_it import MarkdownIt
from tests.prototypes.conftest import Silent, config, write_folders

from maskstack import sample_photos
from maskstack.cli.main import app, main
from maskstack.models.kinds import KINDS
from maskstack.models.spec import parse_spec

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SHOWN = [ROOT / "README.md", *PAGES]
RUNS = {"explain", "models", "methods"}
"""Verbs that run here; others need data or a person."""

PROGRAM = MarkdownIt()


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and line of each block of code; indented blocks have no language."""
    return [
        (token.info.strip(), token.content, token.map[0] + 1)
        for token in PROGRAM.parse(page.read_text(encoding="utf-8"))
        if token.type in ("fence", "code_block")
    ]


def commands(page: Path) -> Iterator[tuple[str, int]]:
    """The command lines of a page, continued lines joined and remarks left out."""
    for language, text, line in blocks(page):
        if language in ("", "console"):
            for command in text.replace("\\\n", " ").splitlines():
                call_line = command.split("  #")[0].strip()
                if call_line.startswith(("maskstack ", "pip ", "make ", "python -m ")):
                    yield call_line, line


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


ALL = [
    pytest.param(call_line, id=f"{name(page)}:{line}: {call_line[:60]}")
    for page in SHOWN
    for call_line, line in commands(page)
]


def test_the_pages_are_found() -> None:
    assert len(ALL) > 60
    assert sum(language == "python" for page in PAGES for language, *_ in blocks(page)) > 30


@pytest.mark.parametrize("call_line", ALL)
def test_a_command_exists_and_takes_what_it_is_given(call_line: str) -> None:
    words = shlex.split(call_line)
    if words[0] == "maskstack":
        parsed(words[1:])
    elif words[0] == "pip":
        extras = set(re.findall(r"[\w-]+", "".join(re.findall(r"\[(.*?)\]", call_line))))
        assert extras <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[2] not in sys.stdlib_module_names:
        source = (ROOT / (words[2].replace(".", "/") + ".py")).read_text()
        for option in re.findall(r"(?<=\s)--[\w-]+", call_line):
            assert f'"{option}"' in source, f"{words[2]} has no option {option}"


def parsed(words: list[str]) -> None:
    """Read a command line as the program does, without doing anything."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("maskstack", words[:1], resilient_parsing=True)
    rest = [word for word in words if word != "..."]
    while hasattr(command, "commands"):
        verb = rest.pop(0)
        assert verb in command.commands, f"there is no command {verb}"
        command = command.commands[verb]
    try:
        command.make_context(command.name, rest, parent=context)
    except Exception as error:
        if "..." in words and "Missing" in str(error.format_message() if hasattr(error, "format_message") else error):
            return
        raise


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """No names, in a folder with two photos; the pages define what their code uses."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    cat, coffee, _ = sample_photos()
    cat.save("photo.jpg")
    coffee.save("coffee.png")
    return {}


RUNNING = [page for page in PAGES if any(language in ("python", "console") for language, *_ in blocks(page))]


@pytest.mark.usefixtures("short_searches", "small_bundled")
@pytest.mark.parametrize("page", RUNNING, ids=name)
def test_a_page_runs_from_top_to_end(page: Path, place: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    if page.name == "prototypes.md":
        train_small("birds10")
    for package in ("timm", "torchvision", "transformers", "onnx2torch", "captum", "pytorch_grad_cam", "quantus"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    for language, text, line in blocks(page):
        if language == "python":
            # As many lines before it as on the page, so that a failure names the page's own line.
            exec(compile("\n" * line + text, str(page), "exec"), place)
        elif language == "console":
            for call_line in (each.strip() for each in text.splitlines()):
                if can_run(call_line):
                    assert main(shlex.split(call_line)[1:]) == 0, capsys.readouterr().err


def train_small(out: str) -> None:
    """A ProtoPNet of twelve prototypes, in seconds."""
    pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")
    from maskstack.prototypes.run import train

    train(config(write_folders(Path("data")), network={"per_class": 4}), Path(out), Silent())


def can_run(call_line: str) -> bool:
    """Whether a command needs nothing but what lies in the folder and the bundled network, in this process."""
    words = shlex.split(call_line)
    if words[:1] != ["maskstack"] or words[1] not in RUNS or "pretrained" in call_line or "--workers" in words:
        return False
    files = re.findall(r"[\w/-]+\.(?:jpg|png|onnx|py|txt|safetensors)\b", call_line)
    return all(Path(file).is_file() for file in files)


def test_commands_of_explain_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("photo.jpg", "photo.png", "coffee.png", "mine.py"):
        Path(file).touch()
    call_line = [command for page in RUNNING for command, _ in commands(page) if can_run(command)]
    assert len(call_line) >= 4


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lists_of_networks_can_be_read(page: Path) -> None:
    for language, text, _ in blocks(page):
        if language == "toml":
            for spec in tomllib.loads(text).values():
                read = parse_spec(spec)
                assert read.kind in KINDS
                assert set(read.options) <= set(KINDS[read.kind].keys)


def test_a_broken_command_is_noticed() -> None:
    for wrong in (
        "explain photo.jpg --presets fast",
        "explain photo.jpg --steps many",
        "explian photo.jpg",
        "bench --data x",
    ):
        with pytest.raises(Exception):  # noqa: B017, PT011 - any refusal will do
            parsed(wrong.split())
