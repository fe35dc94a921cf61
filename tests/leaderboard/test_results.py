"""What runs found as matrices: rows counted once, thresholds from other images, runs that do not fit together."""

import json

import numpy as np
import pytest

from maskstack import metrics
from maskstack.errors import InputError
from maskstack.leaderboard.comparison import compare
from maskstack.leaderboard.derived import derive, mean_of_classes
from maskstack.leaderboard.record import settle
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.results import Failure, Gap, read_results
from maskstack.leaderboard.verdict import judge
from maskstack.runs.rows import FAILED, ResultRow
from maskstack.runs.store import Store


def make_run(folder, rows, **more):
    request = BenchRequest(
        **{"models": ("net=bundled",), "data": "data", "methods": ("mdm",), "groups": ("faithfulness",), **more}
    )
    settle(folder, request, versions={"maskstack": "test"})
    store = Store.open(folder)
    if rows:
        store.write(rows)
    return folder


def row(method, image, metric, value, group="faithfulness", **more):
    return ResultRow("net", method, image, group, metric, value, **more)


def test_what_two_runs_have_counts_once_and_a_value_makes_up_for_a_failure(tmp_path):
    one = make_run(tmp_path / "one", [row("mdm", "a", "road", 0.5, "road"), row("mdm", "b", FAILED, None, failure="x")])
    other = make_run(tmp_path / "two", [row("mdm", "a", "road", 0.5, "road"), row("mdm", "b", "insertion_wide", 0.25)])
    (network,) = read_results([one, other])
    assert network.images == ("a", "b")
    assert network.values["road"] == pytest.approx(np.array([[0.5, np.nan]]), nan_ok=True)
    assert network.values["insertion_wide"] == pytest.approx(np.array([[np.nan, 0.25]]), nan_ok=True)
    assert network.failures == ()


def test_failures_and_gaps_are_counted_with_a_reason(tmp_path):
    rows = [row("mdm", image, "gini", 0.5, "complexity") for image in "abc"]
    rows += [row("lime", image, FAILED, None, failure=f"no {image}") for image in "cb"]
    rows += [row("mdm", image, "pointing_game", None, "localization", failure="no box") for image in "ac"]
    (network,) = read_results([make_run(tmp_path / "run", rows)])
    assert network.failures == (Failure("lime", "faithfulness", 2, "no b"),)
    assert network.gaps == (Gap("pointing_game", 2, "no box"),)


def test_settings_that_differ_by_image_are_all_kept(tmp_path):
    rows = [
        row("mdm", image, "road", 0.5, "road", protocol=json.dumps({"noise": 0.01, "share": share}))
        for image, share in (("a", 0.5), ("b", 1.0))
    ]
    (network,) = read_results([make_run(tmp_path / "run", rows)])
    assert network.protocol("road") == {"noise": (0.01,), "share": (0.5, 1.0)}


def test_thresholds_come_from_the_other_half_of_a_methods_images(tmp_path):
    ious = np.random.default_rng(0).uniform(size=(9, 12)).astype(np.float32)
    rows = [row("mdm", f"{i}", "box_ious", 1.0, "localization", curve=tuple(map(float, ious[i]))) for i in range(9)]
    rows += [row("gradcam", "0", "gini", 0.5, "complexity")]  # has no boxes
    (network,) = read_results([make_run(tmp_path / "run", rows[::-1])])
    found = dict(zip(network.methods, network.values["max_box_acc_50"], strict=True))
    hits = (ious >= 0.5).astype(float)
    for own, other in ((0, 1), (1, 0)):
        best = max(range(12), key=lambda at, other=other: hits[other::2, at].mean())
        assert found["mdm"][own::2] == pytest.approx(hits[own::2, best])
    assert np.isnan(found["gradcam"]).all()
    parts = [network.values[f"max_box_acc_{percent}"][1] for percent in (30, 50, 70)]
    assert network.values["max_box_acc"][1] == pytest.approx(np.mean(parts, axis=0))
    assert "box_ious" not in network.values


def test_mask_overlap_is_that_of_the_metric():
    import torch

    ious = np.random.default_rng(1).uniform(size=(1, 7, 5))
    assert derive({"mask_ious": ious})["mask_iou"][0] == pytest.approx(
        metrics.at_chosen_threshold(torch.from_numpy(ious[0])).numpy()
    )
    assert derive({"box_ious": np.empty((1, 7, 0))}) == {}


def test_rare_classes_weigh_as_much_as_frequent_ones():
    values = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, np.nan, 0.0, np.nan]])
    means, classes = mean_of_classes(values, np.array([3, 3, 3, 8]))
    assert means == pytest.approx([0.5, 0.5])
    assert classes == 2


def test_first_tied_and_behind(tmp_path):
    random = np.random.default_rng(2)
    rows = []
    for image in range(30):
        base, noise = random.uniform(0.4, 0.6), random.normal(0, 0.05)
        values = {
            "insertion_wide": (base + 0.1, base, base - 0.3),  # mdm is ahead of all
            "insertion_narrow": (base + 0.001, base + noise, base - 0.3),  # not told apart, whoever is first
            "deletion_zero": (base, base - 0.1, base + 0.3),  # low is good: gradcam is better
            "average_drop": (base, base + 0.1, base - 0.1),  # and a control is better here
        }
        for metric, each in values.items():
            for method, value in zip(("mdm", "gradcam", "random"), each, strict=True):
                rows.append(row(method, f"{image:02}", metric, value))
    comparison = compare(read_results([make_run(tmp_path / "run", rows)])[0])
    verdict = judge(comparison)
    assert [column.metric for column in verdict.ahead] == ["insertion_wide", "average_drop"]
    assert [column.metric for column in (*verdict.first, *verdict.tied)] == ["insertion_narrow"]
    assert [(loss.column.metric, loss.best, loss.rank, loss.of) for loss in verdict.behind] == [
        ("deletion_zero", ("gradcam",), 2, 2)
    ]
    assert [column.metric for column in verdict.below_controls] == ["average_drop"]
    assert comparison.methods[-1] == "random"
    assert "random" not in comparison.mean_ranks


def test_equal_methods_share_a_rank_and_are_tied(tmp_path):
    rows = [row(method, image, "road", 0.5, "road") for method in ("mdm", "gradcam") for image in "abcdef"]
    comparison = compare(read_results([make_run(tmp_path / "run", rows)])[0])
    assert comparison.best("road") == ("gradcam", "mdm")
    assert [cell.rank for cell in comparison.cells["road"].values()] == [1.5, 1.5]
    assert comparison.cells["road"]["gradcam"].p == 1
    assert [column.metric for column in judge(comparison).tied] == ["road"]


@pytest.mark.parametrize(
    ("more", "message"),
    [({"curve_steps": 9}, "curve_steps=20"), ({"data": "elsewhere"}, "data="), ({"models": ("net=timm:x",)}, "net is")],
)
def test_runs_that_measured_otherwise_are_not_mixed(tmp_path, more, message):
    rows = [row("mdm", "a", "road", 0.5, "road")]
    one, other = make_run(tmp_path / "one", rows), make_run(tmp_path / "two", rows, **more)
    with pytest.raises(InputError, match=message):
        read_results([one, other])


def test_a_relative_and_an_absolute_path_name_the_same_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [row("mdm", "a", "road", 0.5)]
    one, other = make_run(tmp_path / "one", rows), make_run(tmp_path / "two", rows, data=str(tmp_path / "data"))
    make_run(one, [], data=str(tmp_path / "x" / ".." / "data"))
    assert read_results([one, other])[0].images == ("a",)
    with pytest.raises(InputError, match=r"one holds a run with data=.*data2'; choose another --out"):
        make_run(one, [], data="data2")


def test_runs_of_different_networks_may_differ(tmp_path):
    one = make_run(tmp_path / "one", [row("mdm", "a", "road", 0.5, "road")])
    model = ResultRow("small", "mdm", "a", "road", "road", 0.5)
    other = make_run(tmp_path / "two", [model], models=("small=bundled",), curve_steps=9)
    assert [network.model for network in read_results([one, other])] == ["net", "small"]


def test_what_cannot_be_read_is_a_sentence(tmp_path):
    run = make_run(tmp_path / "run", [])
    with pytest.raises(InputError, match="no results yet"):
        read_results([run])
    with pytest.raises(InputError, match="named twice"):
        read_results([run, run])
    (run / "rows" / "pair-x.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_results([run])


def test_a_control_is_no_reference(tmp_path):
    (network,) = read_results([make_run(tmp_path / "run", [row("centre", "a", "road", 0.5, "road")])])
    with pytest.raises(InputError, match="is a control"):
        compare(network, "centre")
    with pytest.raises(InputError, match="measure a method that is not a control"):
        compare(network)
