"""What a report says: intervals, tests and ranks against independent implementations, and known answers."""

import csv
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from maskstack.leaderboard.comparison import _compare
from maskstack.leaderboard.report import make_report
from maskstack.runs import statistics
from maskstack.runs.statistics import Bootstrap, holm, ranks, signed_rank_p

IMAGES = 40  # of the run that is reported


def test_intervals_agree_with_scipys():
    values = np.random.default_rng(3).gamma(2.0, size=60)
    wanted = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, random_state=1)
    low, high = Bootstrap(draws=20_000).intervals(values[None])[0]
    assert low == pytest.approx(wanted.confidence_interval.low, abs=0.02)
    assert high == pytest.approx(wanted.confidence_interval.high, abs=0.02)


def test_intervals_hold_the_mean_as_often_as_they_say():
    random, held = np.random.default_rng(0), 0
    for _ in range(200):
        low, high = Bootstrap(draws=300).intervals(random.normal(1.0, 1.0, size=(1, 50)))[0]
        held += low <= 1.0 <= high
    assert 0.88 <= held / 200 <= 0.99


@pytest.mark.slow
def test_many_images_are_drawn_in_groups_with_the_same_intervals(monkeypatch):
    random = np.random.default_rng(7)
    # Classes follow each other and differ, as they do where images are sorted by their names.
    values = np.sort(random.normal(size=(1, 20_000)), axis=1) + random.normal(0, 0.2, size=(2, 20_000))
    exact = Bootstrap(draws=1000).intervals(values)
    monkeypatch.setattr(statistics, "MOST_DRAWN", 4000)
    grouped = Bootstrap(draws=1000).intervals(values)
    half = (exact[:, 1] - exact[:, 0]) / 2
    # The ends of 1000 draws have a standard error of about 8% of half the interval, those of 4000 groups of 1%.
    assert np.abs(grouped - exact).max() < 0.25 * half.min()
    assert (grouped[:, 1] - grouped[:, 0]) / 2 == pytest.approx(half, rel=0.2)
    assert Bootstrap(draws=1000).intervals(values[:1])[0] == pytest.approx(grouped[0])  # samples share their draws


def test_memory_of_the_intervals_is_bounded(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_DRAWN", 1000)
    monkeypatch.setattr(statistics, "_BLOCK", 100_000)
    peaks = []
    for size in (200_000, 800_000):
        values = np.zeros((2, size))
        tracemalloc.start()
        Bootstrap(draws=500).intervals(values)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 20_000_000


def test_the_paired_test_is_wilcoxons():
    differences = np.random.default_rng(1).normal(0.2, 1.0, size=30)
    assert signed_rank_p(differences) == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert signed_rank_p(np.zeros(5)) == 1
    assert np.isnan(signed_rank_p(np.empty(0)))
    many = np.random.default_rng(1).normal(0.2, 1.0, size=80).round(1)
    assert signed_rank_p(many) == pytest.approx(stats.wilcoxon(many).pvalue)


@pytest.mark.parametrize("alike", [0, 5, 60])
def test_five_equal_differences_are_not_significant_however_many_images_are_alike(alike):
    # Five of five signs: 2 / 2^5. The normal approximation would give 0.025.
    assert signed_rank_p(np.concatenate([np.full(5, 0.25), np.zeros(alike)])) == 0.0625


def test_equal_differences_with_rounding_errors_share_their_rank():
    thirds = np.array([1 / 3 - 0, 2 / 3 - 1 / 3, 1 - 2 / 3, 0 - 1 / 3, 1 / 3 - 2 / 3, 0.1 + 0.2 - 0.3])
    assert len(set(np.abs(thirds))) > 2
    assert signed_rank_p(thirds) == 1


def test_a_few_large_differences_do_not_make_a_method_significantly_better():
    # Worse on 60 of 70 images, but better by more on the others, so the mean is better.
    difference = np.concatenate([-np.linspace(0.001, 0.01, 60), np.linspace(0.5, 1, 10)])
    assert signed_rank_p(difference) < 0.001
    assert signed_rank_p(difference, toward_mean=True) == 1
    assert signed_rank_p(difference[:60], toward_mean=True) == signed_rank_p(difference[:60])
    found = _compare(("mdm", "other"), np.stack([np.full(70, 0.5), 0.5 + difference]), 1, "mdm", Bootstrap(draws=50))
    assert found["other"].difference > 0.1
    assert not found["other"].told_apart
    assert found["mdm"].tied


def test_holm_is_the_step_down_rule():
    given = np.random.default_rng(2).uniform(size=9) ** 3
    order, worst, wanted = np.argsort(given), 0.0, np.empty(9)
    for place, index in enumerate(order):
        worst = max(worst, min(1.0, (len(given) - place) * given[index]))
        wanted[index] = worst
    assert holm(given) == pytest.approx(wanted)


def test_ranks_are_those_of_the_means():
    values = np.random.default_rng(4).normal(size=(6, 20))
    assert ranks(values, sign=1) == pytest.approx(stats.rankdata(-values.mean(axis=1)))
    assert ranks(values, sign=-1) == pytest.approx(stats.rankdata(values.mean(axis=1)))


def numbers(path):
    with path.open(newline="", encoding="utf-8") as file:
        return {(line["method"], line["metric"]): line for line in csv.DictReader(file)}


@pytest.mark.slow
def test_means_differences_and_ranks_come_out(run):
    found = numbers(make_report([run]).summary)
    mdm, gradcam, rise = (found[name, "insertion_wide"] for name in ("mdm", "gradcam", "rise"))
    assert float(mdm["low"]) < float(mdm["mean"]) < float(mdm["high"])
    assert (int(mdm["n"]), int(gradcam["n"]), int(rise["n"])) == (IMAGES, IMAGES, 5)
    assert float(gradcam["difference"]) == pytest.approx(-0.1, abs=0.01)
    assert float(rise["difference"]) == pytest.approx(-0.05, abs=1e-6)
    assert float(gradcam["p_holm"]) < 0.001
    assert [float(line["rank"]) for line in (mdm, rise, gradcam)] == [1, 2, 3]
    assert not found["random", "insertion_wide"]["rank"]
    assert float(found["gradcam", "deletion_zero"]["difference"]) == pytest.approx(0.1, abs=1e-6)
    assert float(mdm["forward"]) == 10


@pytest.mark.slow
def test_another_reference_turns_the_differences_round(run):
    found = numbers(make_report([run], reference="gradcam").summary)
    assert float(found["mdm", "insertion_wide"]["difference"]) == pytest.approx(0.1, abs=0.01)


def test_only_chosen_methods_and_only_common_images(run, tmp_path):
    few = numbers(make_report([run], tmp_path / "few", methods=("mdm", "rise"), only_common=True).summary)
    assert {method for method, _ in few} == {"mdm", "rise"}
    assert few["mdm", "insertion_wide"]["n"] == "5"
