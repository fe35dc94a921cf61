"""Benches of prototype search: nothing is done twice, more can be asked for, parts and boxes become rows."""

import csv
import json
import random
import shutil
from collections import Counter

import pytest
import torch

import maskstack.prototypes.bench
from maskstack.errors import InputError
from maskstack.prototypes.bench import PrototypeBenchRequest, bench
from maskstack.prototypes.checkpoint import load
from maskstack.prototypes.measuring import hits_of
from maskstack.prototypes.standings import standings

pytestmark = pytest.mark.slow

pytest.importorskip("pyarrow", reason="the extra 'bench' is not installed")

CLASSES = ("cat", "coffee", "person")


class Told:
    """A listener that remembers."""

    def damaged(self, shards):
        self.set_aside = [path.name for path in shards]

    def planned(self, plan):
        self.maps, self.done, self.passes = plan.maps, plan.done, plan.forward + plan.backward

    def finished(self, maps, rows):
        assert {row.group for row in rows}
        self.done += maps


@pytest.fixture(scope="module")
def annotated(folders, tmp_path_factory):
    """The test images as a table with a box each, and parts of which some are outside of the box that is looked at."""
    root = tmp_path_factory.mktemp("annotated")
    shutil.copytree(folders / "test", root / "images" / "test")
    chance = random.Random(0)
    files = [f"test/{name}/{number}.png" for name in CLASSES for number in range(4)]
    with (root / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class", "split", "boxes_xyxy"])
        writer.writerows([name, name.split("/")[1], "test", "[[9, 9, 45, 54]]"] for name in files)
    with (root / "parts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "part", "x", "y"])
        for name in files:
            for part in ("left_eye", "right_eye", "nose"):
                writer.writerow([name, part, *(round(chance.uniform(0.05, 0.95), 3) for _ in "xy")])
    return root


@pytest.fixture(scope="module")
def prototypes(trained):
    return load(trained)


@pytest.fixture
def calls(monkeypatch):
    """How often each method has searched."""
    real, counted = maskstack.prototypes.bench.finder, Counter()

    class Counting:
        def __init__(self, network, method):
            self.method, self.explainer = method, real(network, method)

        def __call__(self, images, targets):
            counted[self.method] += 1
            return self.explainer(images, targets)

        def cost(self, images, **more):
            return self.explainer.cost(images, **more)

    monkeypatch.setattr(maskstack.prototypes.bench, "finder", Counting)
    return counted


def request(data, trained, **more):
    given = {"methods": ("native", "random"), "per_class": 1, "images": 2, **more}
    return PrototypeBenchRequest(checkpoint=str(trained), data=str(data), **given)


def keys(rows):
    found = Counter((row.method, row.image, row.group, row.metric) for row in rows)
    assert max(found.values()) == 1, "a row is there twice"
    return set(found)


def test_it_is_done_once_and_grows_by_methods_images_and_prototypes(annotated, trained, prototypes, tmp_path, calls):
    told = Told()
    rows = bench(request(annotated, trained), prototypes, tmp_path, told)
    assert calls == {"native": 6, "random": 6}
    assert (told.maps, told.done) == (12, 12)
    assert {row.image.split("/")[1] for row in rows} == set(CLASSES)
    again = bench(request(annotated, trained), prototypes, tmp_path, told)
    assert sum(calls.values()) == 12
    assert (told.maps, told.done, told.passes) == (0, 12, 0)
    assert keys(again) == keys(rows)
    more = bench(request(annotated, trained, methods=("centre", "native")), prototypes, tmp_path, told)
    assert calls == {"native": 6, "random": 6, "centre": 6}
    assert {row.method for row in more} == {"native", "centre"}
    larger = bench(request(annotated, trained, images=3), prototypes, tmp_path, told)
    assert calls == {"native": 9, "random": 9, "centre": 6}
    assert keys(rows) < keys(larger)
    wider = bench(request(annotated, trained, per_class=2), prototypes, tmp_path, told)
    assert keys(rows) < keys(wider)
    fewer = bench(request(annotated, trained, images=1), prototypes, tmp_path, told)
    assert keys(fewer) < keys(rows)


def test_killed_it_goes_on_where_it_was(annotated, trained, prototypes, tmp_path, calls, monkeypatch):
    real, left = maskstack.prototypes.bench.measured, [5]

    def measured(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(maskstack.prototypes.bench, "measured", measured)
    with pytest.raises(KeyboardInterrupt):
        bench(request(annotated, trained), prototypes, tmp_path / "killed", Told())
    rows = bench(request(annotated, trained), prototypes, tmp_path / "killed", Told())
    assert sum(calls.values()) == 13, "of 12 the one that was cut off is made again"
    whole = bench(request(annotated, trained), prototypes, tmp_path / "whole", Told())
    values = [{(row.method, row.image, row.group, row.metric): row.value for row in each} for each in (rows, whole)]
    assert values[0] == pytest.approx(values[1], nan_ok=True)


@pytest.mark.parametrize("other", [{"seed": 1}, {"half": "tuning"}, {"stability": True}, {"split": None}])
def test_another_request_is_refused(annotated, trained, prototypes, tmp_path, other):
    bench(request(annotated, trained, images=1, methods=("centre",)), prototypes, tmp_path, Told())
    (name,) = other
    with pytest.raises(InputError, match=f"holds a run with {name}=.*choose another --out"):
        bench(request(annotated, trained, images=1, methods=("centre",), **other), prototypes, tmp_path, Told())


def test_a_run_without_results_takes_another_request(annotated, trained, prototypes, tmp_path):
    about = {"seed": 1}
    with pytest.raises(InputError, match="did you mean steps"):
        bench(request(annotated, trained, methods=("mdm:stps=3",), **about), prototypes, tmp_path, Told())
    bench(request(annotated, trained, images=1, methods=("centre",)), prototypes, tmp_path, Told())
    with pytest.raises(InputError, match="holds a run with seed=0, not 1"):
        bench(request(annotated, trained, images=1, methods=("centre",), **about), prototypes, tmp_path, Told())


def test_a_failed_map_is_a_row_with_its_reason_and_is_tried_again_on_demand(trained, prototypes, own_folders, tmp_path):
    """A damaged image and a method that fails on some images do not end the run."""
    photo = own_folders / "test" / "cat" / "0.png"
    whole = photo.read_bytes()
    photo.write_bytes(whole[: len(whole) // 2])
    own = tmp_path / "mine.py"
    own.write_text(
        "import torch\ndef odd(score, image):\n    if image.mean() > 0:\n        raise ValueError('bright')\n"
        "    return torch.full(image.shape[-2:], torch.nan)\n"
    )
    asked = request(own_folders, trained, methods=("centre", f"python:{own}:odd"), images=4)
    rows = bench(asked, prototypes, tmp_path / "run", Told())
    failed = {(row.method, row.image): row.failure for row in rows if row.metric == "failed"}
    assert len(failed) == 1 + 12
    assert "is damaged" in failed["centre", "test/cat/0.png"]
    assert {"bright", "NaN"} == {word for why in failed.values() for word in ("bright", "NaN") if word in why}
    assert {(one.units, one.failed) for one in standings(rows)} == {(11, 1)}
    photo.write_bytes(whole)
    told = Told()
    assert {(one.units, one.failed) for one in standings(bench(asked, prototypes, tmp_path / "run", told))} == {(11, 1)}
    assert told.maps == 0
    again = bench(asked, prototypes, tmp_path / "run", told, retry_failed=True)
    assert told.maps == 13
    assert {(one.units, one.failed) for one in standings(again)} == {(12, 0)}


@pytest.mark.parametrize("stability", [False, True])
def test_a_run_takes_no_more_passes_than_it_said(annotated, trained, prototypes, tmp_path, stability, monkeypatch):
    forward, told = Counter(), Told()
    hook = prototypes.network.backbone.stem.register_forward_hook(
        lambda _stem, images, _features: forward.update(images=len(images[0]))
    )
    bench(request(annotated, trained, images=1, stability=stability), prototypes, tmp_path, told)
    hook.remove()
    assert 0.9 * told.passes < forward["images"] <= told.passes


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_record_is_said(annotated, trained, prototypes, tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="choose another --out"):
        bench(request(annotated, trained), prototypes, tmp_path, Told())


def test_parts_and_boxes_are_measured(annotated, trained, prototypes, tmp_path):
    rows = bench(request(annotated, trained, stability=True), prototypes, tmp_path, Told())
    metrics = Counter(row.metric for row in rows)
    always = {"insertion_anew", "deletion_fixed", "area_anew", "energy", "pointing", "iou", "box_share"}
    parts = {"parts_consistency", "parts_purity", "parts_consistency_noisy", "parts_purity_noisy"}
    assert {metrics[name] for name in always | parts} == {12}
    for row in rows:
        assert row.target == int(row.group.split()[1])
        assert row.failure is None
        if row.metric == "box_share":
            assert row.value == pytest.approx(36 * 45 / 72**2, abs=0.03)
        if row.metric.startswith("parts_"):
            hits = hits_of(row.protocol)
            assert hits.visible == {"left_eye", "right_eye", "nose"}
            assert row.value == pytest.approx(len(hits.hit) / 3)
            assert json.loads(row.protocol)["side"] == {"c": 21, "p": 9, "m": 21}[row.metric[6]]
        if row.metric.startswith(("insertion", "deletion")):
            assert len(row.curve) == 21
            # The whole image has the whole activation, whichever end it is on.
            assert row.curve[-1 if row.metric.startswith("insertion") else 0] == pytest.approx(1, abs=1e-4)
    table = {(one.method, one.metric): one for one in standings(rows)}
    assert table["native", "stability"].units == 3
    assert {"consistency", "best_part", "purity", "energy", "pointing", "iou"} <= {metric for _, metric in table}


def test_without_parts_and_boxes_there_are_no_rows_of_them(folders, trained, prototypes, tmp_path):
    rows = bench(request(folders, trained, images=1), prototypes, tmp_path, Told())
    assert {row.metric.split("_")[0] for row in rows} == {"insertion", "deletion", "area"}


def test_duplicates_are_left_out_and_images_are_those_of_the_class(annotated, trained, tmp_path):
    prototypes = load(trained)
    first, second = prototypes.prototypes_of(0)
    prototypes.network.prototypes.data[max(first, second)] = prototypes.network.prototypes.data[min(first, second)]
    rows = bench(request(annotated, trained, per_class=2), prototypes, tmp_path, Told())
    groups = {row.group for row in rows if "/cat/" in row.image}
    assert groups == {f"prototype {min(first, second)}"}
    for row in rows:
        owner = int(prototypes.network.owners[int(row.group.split()[1])])
        assert row.image.split("/")[1] == CLASSES[owner]


def test_an_activation_that_is_not_above_zero_is_a_failure_with_its_reason(labelled, trained_labels, tmp_path):
    prototypes = load(trained_labels)
    prototypes.network.prototypes.data.neg_()
    root = tmp_path / "data"
    shutil.copytree(labelled / "images", root / "images")
    rows = ["file,class,split", *(f"{number}.png,furry,test" for number in (18, 19))]
    (root / "images.csv").write_text("\n".join(rows))
    found = bench(request(root, trained_labels), prototypes, tmp_path / "run", Told())
    assert {row.value for row in found} == {None}
    assert all("activation" in row.failure for row in found)
    assert standings(found) == []


def test_what_cannot_be_asked_for_is_said(annotated, trained, prototypes, tmp_path, labelled):
    for wrong, says in (
        ({"methods": ()}, "at least one"),
        ({"methods": ("mdm", "mdm")}, "each once"),
        ({"methods": ("mmd",)}, "did you mean mdm"),
        ({"methods": ("mdm:steps",)}, "key=value"),
        ({"images": 0}, "images is 0; it must be a whole number from 1"),
        ({"per_class": 0}, "per_class is 0; it must be a whole number from 1"),
        ({"half": "left"}, "must be one of all, tuning, reporting"),
    ):
        with pytest.raises(InputError, match=says):
            request(annotated, trained, **wrong)
    with pytest.raises(InputError, match=r"has no image of the network's classes \(cat, coffee, person\); give data"):
        bench(request(labelled, trained), prototypes, tmp_path / "run", Told())
    with pytest.raises(InputError, match="did you mean steps"):
        bench(request(annotated, trained, methods=("mdm:stps=3",)), prototypes, tmp_path / "run", Told())
    with pytest.raises(InputError, match="does not exist"):
        bench(request(tmp_path / "none", trained), prototypes, tmp_path / "run", Told())


def test_the_request_does_not_touch_torchs_random_state(annotated, trained, prototypes, tmp_path):
    state = torch.random.get_rng_state()
    bench(request(annotated, trained, images=1, stability=True), prototypes, tmp_path, Told())
    assert torch.equal(torch.random.get_rng_state(), state)
