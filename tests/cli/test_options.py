"""The search's options on the command line are the settings of ``SearchSettings``, no more and no less."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main
from torch import nn

from maskstack import MDM
from maskstack.cli.main import app, main
from maskstack.cli.results import ResultReporter
from maskstack.errors import InputError
from maskstack.jobs.options import read_settings, search_options
from maskstack.jobs.verify import Compared
from maskstack.masks.settings import SearchSettings, setting_help

FIELDS = {field.name: field.default for field in dataclasses.fields(SearchSettings)}


def params(verb: str) -> dict[str, Any]:
    return {each.name: each for each in typer.main.get_command(app).commands[verb].params}  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", ["explain", "gallery"])
def test_each_setting_is_an_option_with_its_help_and_default(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = params(verb)
    for name in FIELDS:
        option = found[name]
        assert option.opts[0] == f"--{'joint' if name == 'joint' else name.replace('_', '-')}"
        assert option.default is None, "the preset's value holds where none is given"
        assert option.help.startswith(setting_help()[name])
    monkeypatch.setenv("COLUMNS", "200")
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    for shown in ("(25)", "(3,7,14,28,56,112)", "(zero,blur,mean,noise)", "(--joint)", "(auto)", "(0.045)"):
        assert f"[default: {shown}]" in re.sub(r"\s+", " ", out)


def test_text_and_value_are_inverse() -> None:
    options = search_options()
    assert set(options) == set(FIELDS)
    texts = {name: option.text(option.default) for name, option in options.items()}
    words = {name: text for name, text in texts.items() if options[name].kind in ("sizes", "choices", "choice")}
    assert SearchSettings().with_(**read_settings(words)) == SearchSettings()
    assert read_settings({"sizes": "4x6, 8", "fill": "zero, mean", "steps": None}) == {
        "sizes": ((4, 6), (8, 8)),
        "fill": ("zero", "mean"),
    }
    assert "given" not in options["fill"].choices


def test_a_fill_that_needs_an_image_is_refused_before_any_work() -> None:
    with pytest.raises(InputError, match=r"^fill 'given' needs an image that only a program can give; use zero, mean"):
        read_settings({"fill": "zero,given"})


def test_each_map_is_printed_with_its_class(capsys: pytest.CaptureFixture[str]) -> None:
    """Several classes of one photo have a map each."""
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 4))
    found = MDM(network, preset="fast", steps=1, members=1, sizes=(3,))(torch.rand(1, 3, 32, 32), 2)
    ResultReporter(as_json=False).result("cat.jpg", found, {"overlay": "cat.overlay.png"})
    assert "cat.jpg: class 2\n" in capsys.readouterr().out


def test_a_name_with_a_line_break_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 4))
    found = MDM(network, preset="fast", steps=1, members=1, sizes=(3,))(torch.rand(1, 3, 32, 32), 2)
    reporter = ResultReporter(as_json=False)
    reporter.predictions("a\nb.jpg", [("c\td", 0.5)])
    reporter.result("a\nb.jpg", found, {"overlay": "out/a\nb.overlay.png"})
    reporter.warn("left out: a\nb.jpg")
    shown = capsys.readouterr()
    assert shown.out.startswith("a\\nb.jpg: c\\td 50.0%\n\na\\nb.jpg: class 2\n")
    assert shown.out.endswith("  out/a\\nb.overlay.png\n")
    assert shown.err == "note: left out: a\\nb.jpg\n"


def test_a_narrow_terminal_cuts_no_number(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 4))
    found = MDM(network, preset="fast", steps=1, members=1, sizes=(3,))(torch.rand(1, 3, 32, 32), 2)
    ResultReporter(as_json=False, verbose=True).result("cat.jpg", found, {"overlay": "cat.overlay.png"})
    assert "\u2026" not in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["explain", "gallery"])
@pytest.mark.parametrize("name", ["-dash.jpg", "--preset.jpg"])
def test_a_file_that_looks_like_an_option_gets_a_hint(
    verb: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([verb, name]) == 2
    assert "No such option" in capsys.readouterr().err
    Path(name).touch()
    assert main([verb, name]) == 2
    assert capsys.readouterr().err == f"maskstack: the file {name} was read as an option; write ./{name}\n"


def test_a_number_that_cannot_be_measured_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared = [Compared("score", 0.5, 0.5), Compared("share", 0.9, float("nan"))]
    monkeypatch.setattr("maskstack.cli.verify.verify_explanation", lambda *_files, **_options: compared)
    assert main(["verify", "x.safetensors", "x.jpg"]) == 1
    out = capsys.readouterr().out
    assert "nan" not in out
    assert re.search(r"share +0\.900 +not measurable +differs", out)
