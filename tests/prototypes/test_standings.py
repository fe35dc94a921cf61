"""The table of a bench against numbers made by hand."""

import csv
import io
import json

import numpy as np
import pytest

from maskstack.prototypes.standings import METRICS, as_csv, reference_of, standings
from maskstack.runs.rows import ResultRow

stats = pytest.importorskip("scipy.stats", reason="the extra 'bench' is not installed")


def row(method, image, metric, value, *, prototype=0, protocol=None):
    failure = "why" if value is None else None
    return ResultRow("prototypes", method, image, f"prototype {prototype}", metric, value, json.dumps(protocol or {}),
               failure=failure)  # fmt: skip


def hits(method, image, kind, visible, hit, *, prototype=0):
    protocol = {"visible": visible.split(), "hit": hit.split()}
    return row(method, image, f"parts_{kind}", 0.0, prototype=prototype, protocol=protocol)


def parts(method, image, visible, hit, *, prototype=0, noisy=None):
    kinds = {"consistency": hit, "mass": hit, "purity": hit}
    if noisy is not None:
        kinds |= {"consistency_noisy": noisy, "purity_noisy": noisy}
    return [hits(method, image, kind, visible, found, prototype=prototype) for kind, found in kinds.items()]


def table(rows, **more):
    return {(one.method, one.metric): one for one in standings(rows, **more)}


def holm(p_values):
    """Holm 1979, step by step."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, highest)
    return corrected


@pytest.fixture(scope="module")
def values():
    random = np.random.default_rng(0)
    mdm = random.uniform(0.4, 0.8, 12)
    return {"mdm": mdm, "native": mdm - random.uniform(0.01, 0.2, 12), "random": mdm + random.normal(0, 0.1, 12)}


def test_means_intervals_and_corrected_tests(values):
    rows = [row(method, f"{n}", metric, float(value) * scale)
            for method, each in values.items() for n, value in enumerate(each)
            for metric, scale in (("insertion_anew", 1.0), ("deletion_anew", 0.5))]  # fmt: skip
    found = table(rows)
    p_values = [stats.wilcoxon(values[method] - values["mdm"]).pvalue for method in ("native", "random")] * 2
    corrected = holm(p_values)
    names = [(method, metric) for metric in ("insertion_anew", "deletion_anew") for method in ("native", "random")]
    for name, expected in zip(names, corrected, strict=True):
        assert found[name].p_value == pytest.approx(expected)
    for method, each in values.items():
        one = found[method, "deletion_anew"]
        assert one.mean == pytest.approx(each.mean() / 2)
        assert one.low < one.mean < one.high
        assert one.high - one.low == pytest.approx(2 * 1.96 * each.std() / 2 / np.sqrt(12), rel=0.15)
        assert (one.units, one.failed) == (12, 0)
    assert np.isnan(found["mdm", "insertion_anew"].p_value)
    assert list(dict.fromkeys(one.method for one in standings(rows))) == ["mdm", "native", "random"]


def test_what_failed_is_counted_and_tests_are_on_what_both_have(values):
    rows = [row("mdm", f"{n}", "energy", float(v)) for n, v in enumerate(values["mdm"])]
    rows += [row("native", f"{n}", "energy", (None if n == 2 else float("nan") if n == 3 else float(v)))
             for n, v in enumerate(values["native"]) if n != 5]  # fmt: skip
    found = table(rows)
    there = [n for n in range(12) if n not in (2, 3, 5)]
    one = found["native", "energy"]
    assert (one.units, one.failed) == (9, 2)
    assert one.mean == pytest.approx(values["native"][there].mean())
    assert one.p_value == pytest.approx(stats.wilcoxon((values["native"] - values["mdm"])[there]).pvalue)
    assert found["mdm", "energy"].units == 12


def test_pairs_of_one_image_and_several_prototypes_are_units_of_their_own():
    rows = [row("mdm", "a", "energy", value, prototype=number) for number, value in enumerate((0.1, 0.2, 0.6))]
    one = table(rows)["mdm", "energy"]
    assert (one.mean, one.units) == (pytest.approx(0.3), 3)


def test_a_share_of_the_box_is_never_tested_and_nothing_without_the_reference(values):
    rows = [row(method, f"{n}", metric, float(v)) for method in ("mdm", "native") for n, v in enumerate(values[method])
            for metric in ("box_share", "iou")]  # fmt: skip
    assert np.isnan(table(rows)["native", "box_share"].p_value)
    assert np.isfinite(table(rows)["native", "iou"].p_value)
    others = [one for one in rows if one.method != "mdm"]
    assert all(np.isnan(one.p_value) for one in standings(others))
    assert np.isfinite(table(rows, reference="native")["mdm", "iou"].p_value)
    assert reference_of(others) is None


def test_without_plain_mdm_its_first_variant_is_the_reference(values):
    names = {"mdm": "mdm:preset=single", "random": "mdm:steps=9", "native": "native"}
    rows = [row(name, f"{n}", "iou", float(v)) for method, name in names.items() for n, v in enumerate(values[method])]
    assert reference_of(rows) == "mdm:preset=single"
    found = table(rows)
    assert next(iter(found)) == ("mdm:preset=single", "iou")
    assert np.isnan(found["mdm:preset=single", "iou"].p_value)
    assert np.isfinite(found["native", "iou"].p_value)
    assert reference_of([*rows, row("mdm", "0", "iou", 0.5)]) == "mdm"


def test_parts_make_a_value_for_each_prototype():
    rows = []
    for image, hit in zip("abcde", ("beak", "beak", "beak eye", "beak", ""), strict=True):
        rows += parts("mdm", image, "beak eye", hit)  # beak in 4 of 5: consistent
    for image, hit in zip("abcd", ("left_wing", "right_wing", "", ""), strict=True):
        rows += parts("mdm", image, "left_wing right_wing", hit, prototype=1)  # each in 1 of 4, merged in 2 of 4
    rows += parts("mdm", "a", "beak", "beak", prototype=2)  # one image: too few
    found = table(rows)
    assert (found["mdm", "consistency"].mean, found["mdm", "consistency"].units) == (0.5, 2)
    assert found["mdm", "consistency"].failed == 1
    assert found["mdm", "best_part"].mean == pytest.approx((0.8 + 0.25) / 2)
    assert found["mdm", "purity"].mean == pytest.approx((0.8 + 0.5) / 2)
    assert ("mdm", "stability") not in found


def test_stability_is_the_share_of_images_with_the_same_parts():
    rows = []
    for image, hit, noisy in (("b", "beak", "eye"), ("a", "beak", "beak"), ("c", "", ""), ("d", "eye", "")):
        rows += parts("mdm", image, "beak eye", hit, noisy=noisy)
    # Rows come shard by shard, not in the order of the images.
    rows.sort(key=lambda each: each.metric)
    rows = [*rows[:4][::-1], *rows[4:]]
    assert table(rows)["mdm", "stability"].mean == 0.5


def test_csv_has_a_line_for_each_standing(values):
    rows = [row(m, f"{n}", "energy", float(v)) for m in ("mdm", "native") for n, v in enumerate(values[m])]
    read = list(csv.DictReader(io.StringIO(as_csv(standings(rows)))))
    assert [(line["metric"], line["method"], line["units"]) for line in read] == [
        ("energy", "mdm", "12"), ("energy", "native", "12"),
    ]  # fmt: skip
    assert float(read[0]["mean"]) == pytest.approx(values["mdm"].mean(), abs=1e-4)
    assert set(METRICS) >= {line["metric"] for line in read}


def test_no_rows_make_no_table():
    assert standings([]) == []
