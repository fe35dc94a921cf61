"""Names are data: no two share a file, none leaves its folder, and none is markup or a formula."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image
from tests.hardening.counts import tries

from maskstack.files import csv_cell, file_name

pytestmark = pytest.mark.slow

PARTS = [
    "a",
    "A",
    "/",
    "\\",
    ":",
    "..",
    ".",
    "_",
    "-",
    "~",
    " ",
    "\x00",
    "\n",
    "é",
    "ß",
    "İ",
    "con",
    "nul.txt",
    "$",
    "[bold]",
    "=1",
    "x" * 90,
]
NAMES = st.one_of(st.text(max_size=120), st.lists(st.sampled_from(PARTS), max_size=8).map("".join))


@hypothesis.settings(max_examples=tries(200, 5000))
@hypothesis.given(NAMES, NAMES)
def test_no_two_names_share_a_file(one: str, other: str) -> None:
    first, second = file_name(one), file_name(other)
    assert (first.casefold() == second.casefold()) == (one == other)
    for name in (first, second):
        assert Path(name).name == name
        assert name not in (".", "..")
        assert not name.startswith((".", "-"))
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 80


@pytest.mark.parametrize(
    "names",
    [("a/b.png", "a_b.png", "a:b.png", "a\\b.png"), ("x/y", "x_y"), ("Cat", "cat", "CAT"), ("a", "a.", "a ", " a")],
)
def test_maps_of_names_that_look_alike_are_kept_apart(names, tmp_path) -> None:
    pytest.importorskip("pyarrow", reason="the extra 'bench' is not installed")
    from maskstack.leaderboard.work import MeasuredMap, find_map, read_map, write_map

    cases = [(model, method, image) for model in (*names, "..") for method in names[:2] for image in names]
    for number, case in enumerate(cases):
        write_map(tmp_path / "run", MeasuredMap(*case, (), np.full((4, 4), number / len(cases), np.float16)))
    for number, case in enumerate(cases):
        found = find_map(tmp_path / "run", *case)
        assert found is not None
        assert found.is_relative_to(tmp_path / "run" / "maps")
        np.testing.assert_allclose(read_map(found), number / len(cases), atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["maps"]


@hypothesis.settings(max_examples=tries(100, 1000))
@hypothesis.given(NAMES)
def test_a_cell_is_no_formula_and_a_number_stays_one(name: str) -> None:
    assert not csv_cell(name).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
    file = io.StringIO()
    csv.writer(file).writerow([csv_cell(name), -0.5])
    assert next(csv.reader(io.StringIO(file.getvalue(), newline="")))[1] == "-0.5"


COMMANDS = ["a\x1b[31mred", "a\x1b]0;title\x07", "\u202egnp", "a\x9b1m", "\udcff", "a\x08\x08b", "a\rb"]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_name_commands_the_terminal(name, capsys) -> None:
    from maskstack.cli.console import ConsoleReporter

    with ConsoleReporter() as reporter:
        reporter.say(name)
        reporter.warn(name)
    captured = capsys.readouterr()
    assert not set("\x1b\x07\x9b\u202e\udcff\x08\r") & set(captured.out + captured.err)


def test_a_file_whose_name_is_not_text_is_refused(tmp_path) -> None:
    from maskstack.datasets import AnnotatedImage, AnnotatedImages
    from maskstack.errors import InputError

    with pytest.raises(InputError, match="is not valid text; rename it"):
        AnnotatedImages((AnnotatedImage(None, "\udcff.png"),))


def test_a_name_that_the_locale_cannot_read_is_not_said_to_be_wrong(monkeypatch) -> None:
    from maskstack.checks import check_name
    from maskstack.errors import InputError

    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    with pytest.raises(InputError, match="names are read as ascii, so set PYTHONUTF8=1 or rename it"):
        check_name("caf\udcc3\udca9.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_file_of_a_folder_whose_name_is_not_text_is_left_out_and_one_that_was_named_is_refused(tmp_path) -> None:
    from maskstack.errors import InputError
    from maskstack.jobs.photos import PhotosRequest

    for name in ("a.png", "b\udcff.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    said: list[str] = []
    folder = PhotosRequest(photos=(str(tmp_path),), out=tmp_path / "out")
    assert [Path(file).name for file, _ in folder.open_photos(said.append)] == ["a.png"]
    assert len(said) == 1
    assert "is not valid text" in said[0]
    named = PhotosRequest(photos=(str(tmp_path / "a.png"), str(tmp_path / "b\udcff.png")), out=tmp_path / "out")
    with pytest.raises(InputError, match="is not valid text"):
        next(named.open_photos(said.append))


WORDS = [
    "[bold]",
    "[/]",
    "[link=http://evil.example]x[/link]",
    "$x$",
    "$\\frac{$",
    "a_b^c$",
    ":smile:",
    "{}",
    "%s",
    "<b>",
]


@pytest.mark.parametrize("name", WORDS)
def test_names_are_printed_and_drawn_as_they_are(name, capsys) -> None:
    from rich.table import Table

    from maskstack.cli.console import ConsoleReporter, plain_console
    from maskstack.draw.curves import faithfulness_curves
    from maskstack.draw.figure import Caption, explanation_figure

    table = Table(name)
    table.add_row(name)
    console = plain_console(width=200)
    console.print(name)
    console.print(table)
    with ConsoleReporter() as reporter:
        reporter.say(name)
        reporter.start(name, 2)
        reporter.describe(name)
    assert capsys.readouterr().out.count(name) >= 4
    grey, picture = np.full((16, 16), 0.5, np.float32), np.zeros((16, 16, 3), np.uint8)
    grey[4:9, 4:9] = 1.0
    caption = Caption(title=name, word="doubtful", sentence=name, region=name, masked=name)
    explanation_figure(picture, saliency=grey, caption=caption).savefig(io.BytesIO())
    faithfulness_curves({name: ([0, 1], [1, 0])}, name=name).savefig(io.BytesIO())
