"""The race: every method is timed on every photograph once, and its table and verdicts say what was measured."""

import csv

import pytest
from benchmarks import race
from benchmarks.race import RACERS, Racer, Result
from PIL import Image
from skimage import data as photos

from maskstack.masks import preset
from maskstack.models import load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs at odd positions of the list are the reporting half: the cat and the tripod."""
    where = tmp_path_factory.mktemp("race")
    (where / "images").mkdir()
    pictures = {"a.jpg": (photos.coffee(), 967), "b.jpg": (photos.chelsea(), 282), "c.jpg": (photos.rocket(), 657),
                "d.jpg": (photos.camera(), 872)}  # fmt: skip
    with (where / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class_index"])
        for name, (pixels, index) in pictures.items():
            Image.fromarray(pixels).convert("RGB").save(where / "images" / name)
            writer.writerow([name, index])
    return where


def result(method, image, *, seconds, insertion=0.6, deletion=0.1):
    return Result("net", RACERS[method].spec, image, seconds, seconds, 100, 50, insertion, deletion)


def by_key(*results):
    return {(one.model, one.method, one.image): one for one in results}


@pytest.mark.slow
def test_a_race_is_run_once_and_then_read(folder, tmp_path, monkeypatch):
    kept, net = tmp_path / "race.jsonl", load_model("bundled")
    racers = [Racer("MDM", "mdm:steps=2", "mdm:steps=1"), RACERS["gradcam"]]
    first = race.race(net, folder, racers[:1], count=1, kept=kept)
    both = race.race(net, folder, racers, count=1, kept=kept)
    assert [key[1:] for key in both] == [("mdm:steps=2", "b.jpg"), ("gradcam", "b.jpg")]
    assert first.items() <= both.items()
    assert all(one.seconds > 0 and 0 < one.insertion < 1 for one in both.values())
    assert both["bundled", "mdm:steps=2", "b.jpg"].backward == 2 * preset("default").members
    monkeypatch.setattr(race, "measure", lambda *_: pytest.fail("it was finished"))
    assert race.race(net, folder, racers, count=1, kept=kept) == both == race.read(kept)


def test_methods_are_compared_on_the_photographs_they_share():
    results = by_key(
        result("mdm", "a", seconds=1.0), result("mdm", "b", seconds=9.0), result("rise", "a", seconds=20.0)
    )
    lines = race.table(results, [RACERS["mdm"], RACERS["rise"]]).splitlines()
    assert lines[2].startswith("| MDM, default | 2 | 5.00 |")
    assert lines[2].endswith("| 0.500 ±0.000 | 1.00 x | 1.00 x |")
    assert lines[3].endswith("| 20.00 x | 1.00 x |")


def test_verdicts_say_how_far_a_target_is():
    results = by_key(
        result("mdm", "a", seconds=1.0),
        result("rise", "a", seconds=20.0, insertion=0.55),
        result("extremal", "a", seconds=5.0, insertion=0.65),
    )
    rise, extremal, scorecam = race.verdicts(results).splitlines()
    assert rise.startswith("- **met**")
    assert "20.0 x faster" in rise
    assert extremal.startswith("- **not met** (speed is short by 2.00 x, quality is short by 0.050)")
    assert scorecam.startswith("- not measured")
