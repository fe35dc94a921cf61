"""Runs as their user starts, kills, repeats and extends them."""

import json
import random
import shutil
import signal
import subprocess
import time

import pyarrow.parquet
import pytest
from tests.leaderboard.runs import (
    FEW,
    KILL_SEED,
    METHODS,
    assert_same,
    command,
    environment,
    of_methods,
    run_bench,
    table,
)

from maskstack.cli.main import main
from maskstack.masks import preset
from maskstack.runs.rows import FAILED
from maskstack.runs.store import Store

pytestmark = pytest.mark.slow


def test_a_run_measures_every_method_on_every_image(whole_run):
    found = table(whole_run)
    pairs = {name[:3] for name in found}
    assert len(pairs) == 4 * 4
    metrics = {name[4] for name in found}
    assert {"insertion_wide", "deletion_zero", "average_drop", "pointing_game", "box_ious", "gini"} <= metrics
    assert all(0 <= value[0] <= 1 for name, value in found.items() if name[4] == "insertion_wide")


def test_passes_are_those_of_the_method(whole_run):
    passes = {name[1]: value[4:6] for name, value in table(whole_run).items()}
    assert passes["random"][1] == 0
    assert passes["gradcam"][1] == 1
    assert passes["mdm:steps=3"][1] == 3 * preset("default").members


def test_a_metric_that_does_not_apply_says_why(whole_run):
    value = table(whole_run)["small", "gradcam", "rocket.jpg", "localization", "pointing_game"]
    assert value[0] is None
    assert "no box" in value[-1]


def test_protocols_are_kept_with_the_numbers(whole_run):
    value = table(whole_run)["small", "gradcam", "cat.jpg", "faithfulness", "insertion_wide"]
    assert json.loads(value[2]) | {"fill": "blur", "sigma": 10, "steps": 2, "score": "softmax"} == json.loads(value[2])
    assert len(value[1]) == 3


def test_a_run_measured_for_real_is_reported(whole_run, tmp_path, capsys):
    assert main(["report", str(whole_run), "--reference", "gradcam", "--out", str(tmp_path)]) == 0
    assert "too few to tell methods apart" in capsys.readouterr().out  # four images
    assert (tmp_path / "report.html").stat().st_size > 20_000


def test_running_again_does_nothing_and_says_so(annotated, whole_run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(whole_run, copy)
    again = run_bench(annotated, copy)
    assert again.returncode == 0
    assert "0 maps to make and measure, 16 already done" in again.stdout
    assert_same(table(copy), table(whole_run))


def test_killed_at_any_moment_it_goes_on_to_the_same_table(annotated, whole_run, tmp_path):
    out = tmp_path / "killed"
    moments = random.Random(KILL_SEED)
    written: dict[str, int] = {}
    for _ in range(2):
        running = subprocess.Popen(
            command(annotated, out, methods=FEW),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Loading takes seconds in which there is nothing to lose: the moment counts from the first new shard.
        before = len(list(out.glob("rows/pair-*.parquet")))
        while running.poll() is None and len(list(out.glob("rows/pair-*.parquet"))) == before:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1.5))
        running.send_signal(signal.SIGKILL)
        running.wait()
        for name, moment in written.items():
            assert (out / "rows" / name).stat().st_mtime_ns == moment, "what was written was done again"
        written = {path.name: path.stat().st_mtime_ns for path in out.glob("rows/pair-*.parquet")}
        assert len(written) > before
    kept = len({key[:3] for key in Store.open(out).finished()})
    done = run_bench(annotated, out, methods=FEW)
    assert done.returncode == 0, done.stderr
    assert f"{kept} already done" in done.stdout
    assert_same(table(out), of_methods(table(whole_run), FEW))


def test_a_damaged_shard_is_reported_and_done_again(annotated, whole_run, tmp_path):
    out = tmp_path / "damaged"
    shutil.copytree(whole_run, out)
    shard = Store.open(out).shards()[1]
    lost = pyarrow.parquet.read_table(shard, columns=["method", "image"]).group_by(["method", "image"]).aggregate([])
    shard.write_bytes(shard.read_bytes()[:100])
    done = run_bench(annotated, out)
    assert done.returncode == 0
    assert shard.name in done.stderr
    assert f", {16 - len(lost)} already done" in done.stdout
    assert_same(table(out), table(whole_run))


def test_a_run_grows_by_methods_and_metrics_but_not_by_another_protocol(annotated, whole_run, tmp_path):
    out = tmp_path / "grown"
    shutil.copytree(whole_run, out)
    more = run_bench(annotated, out, "--images", "2", "--metrics", "complexity,robustness", methods="centre,edges")
    assert more.returncode == 0, more.stderr
    added = table(out).keys() - table(whole_run).keys()
    assert {name[1:5:2] for name in added} == {
        ("centre", "robustness"), ("edges", "robustness"), ("edges", "complexity"),
    }  # fmt: skip
    assert len({name[2] for name in added}) == 2
    other = run_bench(annotated, out, "--seed", "5")
    assert other.returncode == 2
    assert "seed=0, not 5" in other.stderr


def test_a_broken_image_and_a_broken_method_are_rows_with_reasons(annotated, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(annotated, data)
    (data / "images" / "coffee.jpg").write_bytes((data / "images" / "coffee.jpg").read_bytes()[:2000])
    out = tmp_path / "run"
    done = run_bench(data, out, methods="mdm:sizes=300,random,centre:objective=margin")
    assert done.returncode == 0, done.stderr
    found = table(out)
    assert "damaged" in found["small", "random", "coffee.jpg", "faithfulness", FAILED][-1]
    assert "300 x 300 cells" in found["small", "mdm:sizes=300", "cat.jpg", "complexity", FAILED][-1]
    assert found["small", "random", "cat.jpg", "complexity", "gini"][0] is not None
    (data / "images" / "coffee.jpg").write_bytes((annotated / "images" / "coffee.jpg").read_bytes())
    again = run_bench(data, out, "--retry-failed", methods="random")
    assert "1 map to make" in again.stdout
    assert table(out)["small", "random", "coffee.jpg", "complexity", "gini"][0] is not None


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (
            "label",
            "predicts is explained there, and localization compares its map with the boxes of the image's own class",
        ),
        ("predicted", ""),
    ],
)
def test_images_without_a_class_of_the_network_are_counted(annotated, tmp_path, option, told):
    (tmp_path / "images").symlink_to(annotated / "images")
    rows = ("cat.jpg,saucer,9,9,90,90", "coffee.jpg,espresso,9,9,90,90", "tripod.jpg,,,,,")
    (tmp_path / "annotations.csv").write_text("\n".join(("file,class,x1,y1,x2,y2", *rows)))
    done = run_bench(tmp_path, tmp_path / "run", "--target", option, "--images", "1", methods="random")
    assert done.returncode == 0, done.stderr
    counted = "small: 2 of 3 images without a class of the network (it does not know saucer)"
    assert (counted in done.stderr) is bool(told)
    assert told in done.stderr


def test_a_map_that_is_not_finite_is_a_failure(annotated, tmp_path):
    (tmp_path / "mine.py").write_text("def f(score, image):\n    return image[0, 0] * float('nan')\n")
    mine = f"python:{tmp_path / 'mine.py'}:f"
    done = run_bench(annotated, tmp_path / "run", "--images", "1", methods=f"{mine},random")
    assert "1 failed" in done.stdout
    rows = of_methods(table(tmp_path / "run"), mine)
    assert {name[4] for name in rows} == {FAILED}
    assert all("gave NaN or infinite values" in value[-1] for value in rows.values())


def test_maps_are_kept_on_request(annotated, tmp_path):
    from safetensors.numpy import load_file

    out = tmp_path / "run"
    assert run_bench(annotated, out, "--maps", "--images", "1", methods="centre").returncode == 0
    (kept,) = out.glob("maps/small/centre/*.safetensors")
    saliency = load_file(kept)["saliency"]
    assert (saliency.shape, saliency.dtype.name) == ((128, 128), "float16")
    assert (saliency.min(), saliency.max()) == (0, 1)


def test_only_images_that_the_network_gets_right(annotated, tmp_path):
    out = tmp_path / "run"
    done = run_bench(annotated, out, "--which", "right", "--metrics", "complexity", methods="centre")
    assert done.returncode == 0, done.stderr
    right = {name[2] for name in table(out)}
    assert {"coffee.jpg", "tripod.jpg"} <= right
    assert len(right) < 5


def test_a_run_without_results_takes_other_settings(annotated, tmp_path):
    (tmp_path / "images").symlink_to(annotated / "images")
    (tmp_path / "annotations.csv").write_text("file,class\ncoffee.jpg,saucer\n")
    out = tmp_path / "run"
    refused = run_bench(tmp_path, out, "--which", "right", methods="random")
    assert "use --which all" in " ".join(refused.stderr.split())
    assert run_bench(tmp_path, out, methods="random").returncode == 0
    assert {name[2] for name in table(out)} == {"coffee.jpg"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "mmd"], "did you mean mdm?"),
        (["--methods", "rise:mask=3"], "no option 'mask'"),
        (["--methods", "rise:masks"], "key=value"),
        (["--methods", "gradcam:layer=nowhere"], "no layer 'nowhere'"),
        (["--methods", "mdm,mdm"], "named twice"),
        (["--methods", ""], "at least one"),
        (["--metrics", "speed"], "must be one of"),
        (["--images", "0"], "whole number from 1"),
        (["--half", "left"], "must be one of"),
        (["--which", "wrong"], "must be one of"),
        (["--engine", "spark"], "must be local or ray"),
        (["--model", "timm:nothing_like_it"], "nothing_like_it"),
    ],
)
def test_bad_requests_end_with_a_sentence_before_any_work(annotated, tmp_path, capsys, arguments, message):
    out = tmp_path / "run"
    assert main(["bench", "--data", str(annotated), "--out", str(out), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(out.glob("rows/*.parquet"))


def test_other_folders_are_left_alone(annotated, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    assert main(["bench", "--data", str(annotated), "--out", str(tmp_path)]) == 2
    assert "other files" in capsys.readouterr().err


def test_two_processes_do_not_share_a_run(annotated, tmp_path, capsys):
    from maskstack.runs.folder import locked

    with locked(tmp_path / "run"):
        assert main(["bench", "--data", str(annotated), "--out", str(tmp_path / "run")]) == 2
    assert "in use by another process" in capsys.readouterr().err


def test_methods_are_listed(capsys):
    assert main(["methods"]) == 0
    message = capsys.readouterr().out
    assert all(name.split(":")[0] in message for name in METHODS.split(","))
