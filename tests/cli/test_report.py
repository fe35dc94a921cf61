"""``maskstack report`` as its user calls it: JSON, the table and exit codes."""

import csv
import json

import pytest

from maskstack.cli.main import main
from maskstack.leaderboard.bench import Outcome
from maskstack.leaderboard.record import settle
from maskstack.leaderboard.request import BenchRequest
from maskstack.runs.rows import ResultRow
from maskstack.runs.store import Store


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path / "run", images=8)


def made_run(folder, *, images, mdm="mdm"):
    request = BenchRequest(models=("net=bundled",), data="data", methods=(mdm, "gradcam"), groups=("faithfulness",))
    settle(folder, request, versions={"maskstack": "test"})
    rows = [
        ResultRow(
            "net", method, f"{image}.jpg", "faithfulness", metric, 0.1 * place + 0.01 * image, forward=3, seconds=0.5
        )
        for place, method in enumerate(("gradcam", mdm, "centre"))
        for metric in ("insertion_wide", "deletion_zero")
        for image in range(images)
    ]
    Store.open(folder).write(rows)
    return folder


def test_json_is_all_that_is_printed_and_agrees_with_the_csv(run, capsys):
    assert main(["report", str(run), "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    (network,) = document["networks"]
    assert network["ahead"] == ["insertion_wide"]
    assert network["behind"] == {"deletion_zero": ["gradcam"]}
    with open(document["files"]["summary"], newline="", encoding="utf-8") as file:  # noqa: PTH123
        lines = list(csv.DictReader(file))
    assert len(lines) == len(network["lines"]) == 6
    for line, wanted in zip(lines, network["lines"], strict=True):
        assert line["method"] == wanted["method"]
        for name in ("mean", "low", "high", "difference", "p_holm", "rank", "forward", "seconds"):
            assert (float(line[name]) if line[name] else None) == wanted[name], name


def test_the_table_names_wins_and_losses(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 0
    message = " ".join(capsys.readouterr().out.split())
    assert "first on 1 (1 significantly), tied with the best on 0, behind on 1: deletion to zero (gradcam)" in message
    assert "centre" in message
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_narrow_terminal_leaves_no_method_and_no_number_out(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "\u2026" not in shown
    (line,) = [line.split() for line in shown.splitlines() if line.startswith("centre")]
    assert len(line) == 5


def test_bench_says_the_next_command_so_that_it_can_be_pasted(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("maskstack.cli.bench.run_bench", lambda *_arguments, **_options: Outcome(3, 0))
    assert main(["bench", "--data", str(tmp_path), "--out", "my run"]) == 0
    assert capsys.readouterr().out.endswith("next: maskstack report 'my run'\n")


def test_a_run_with_a_variant_of_mdm_alone_is_reported_by_the_command_that_bench_names(tmp_path, capsys):
    run = made_run(tmp_path / "fast", images=8, mdm="mdm:preset=fast")
    assert main(["report", str(run)]) == 0
    assert "mdm:preset=fast on 2 metrics of quality: first on 1" in " ".join(capsys.readouterr().out.split())
    assert main(["report", str(run), "--methods", "gradcam,centre"]) == 2
    assert "was not measured with the reference mdm; choose --reference among gradcam" in capsys.readouterr().err


@pytest.mark.slow
def test_few_images_in_common_are_no_verdict_either(tmp_path, run, capsys):
    other = tmp_path / "other"
    request = BenchRequest(models=("net=bundled",), data="data", methods=("rise",), groups=("faithfulness",))
    settle(other, request, versions={"maskstack": "test"})
    rows = [ResultRow("net", "rise", f"{image}.jpg", "faithfulness", "deletion_zero", 0.1) for image in range(3)]
    Store.open(other).write(rows)
    arguments = ["report", str(run), str(other), "--methods", "mdm,rise", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    message = " ".join(capsys.readouterr().out.split())
    assert "net, 8 images" in message
    assert "3 images in common: too few to tell methods apart" in message
    assert main([*arguments, "--only-common"]) == 0
    assert "net, 8 images" in capsys.readouterr().out  # mdm alone has the other metric


def test_few_images_are_no_verdict(tmp_path, capsys):
    run = made_run(tmp_path / "few", images=1)
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 0
    message = " ".join(capsys.readouterr().out.split())
    assert "1 image: too few to tell methods apart; measure at least 6, better 50" in message
    assert "tied" not in message
    assert "Too few images (1)" in (tmp_path / "out" / "report.html").read_text()


def test_complexity_alone_is_not_too_few_images(tmp_path, capsys):
    only = tmp_path / "only"
    settle(only, BenchRequest(models=("net=bundled",), data="x", methods=("mdm",), groups=("complexity",)), versions={})
    Store.open(only).write([ResultRow("net", "mdm", f"{image}", "complexity", "gini", 0.5) for image in range(9)])
    assert main(["report", str(only), "--out", str(tmp_path / "out")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no metric of quality was measured" in told
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No metric of quality was measured" in page
    assert "too few" not in (told + page).lower()


def test_mistakes_end_with_2_and_a_sentence(run, tmp_path, capsys):
    (tmp_path / "file").touch()
    for arguments, wanted in (
        ([str(run), "--reference", "rise"], "choose --reference among gradcam, mdm"),
        ([str(run), str(run)], "named twice"),
        ([str(tmp_path / "nowhere")], "holds no run"),
        ([str(run), "--out", str(tmp_path / "file")], "cannot write"),
        ([], "Missing argument"),
    ):
        assert main(["report", *arguments]) == 2, arguments
        assert wanted in " ".join(capsys.readouterr().err.split())


def test_a_missing_extra_is_named(run, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert main(["report", str(run)]) == 2
    assert "maskstack[bench]" in capsys.readouterr().err
