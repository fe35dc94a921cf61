"""``maskstack explain --regions`` and ``--against``, and ``maskstack verify`` on what they wrote."""

import json
from pathlib import Path

import pytest
import safetensors.torch

from maskstack import Explanation, sample_photos
from maskstack.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_bundled")]

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")

QUICK = ("--sizes", "7,14", "--members", "2", "--steps", "4", "--keep", "0")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("photos") / "cameraman.png"
    sample_photos()[2].save(file)
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_regions_are_said_saved_resumed_and_verified(photo, tmp_path, capsys) -> None:
    asked = ("explain", photo, "--out", tmp_path, *QUICK, "--regions", 2)
    code, out, err = run(capsys, *asked)
    assert code == 0, err
    found = Explanation.load(tmp_path / "cameraman.safetensors")
    assert found.regions is not None
    for number in range(int(found.regions.count[0])):
        assert f"region {number + 1}: {float(found.regions.area[0, number]):.0%} of the image alone keeps" in out
    _, out, _ = run(capsys, *asked, "--resume", "--json")
    assert json.loads(out)["cost"]["maps"] == 0
    code, out, _ = run(capsys, "verify", tmp_path / "cameraman.safetensors", photo)
    assert code == 0, out
    assert "numbers hold" in out


def test_a_contrast_says_before_and_after_and_is_verified(photo, tmp_path, capsys) -> None:
    asked = ("explain", photo, "--out", tmp_path, *QUICK, "--against", "harmonica")
    code, out, err = run(capsys, *asked)
    assert code == 0, err
    assert "before: tripod" in out
    assert Explanation.load(tmp_path / "cameraman.safetensors").notes["against_name"] == "harmonica"
    _, out, _ = run(capsys, *asked, "--resume", "--json")
    assert json.loads(out)["cost"]["maps"] == 0
    _, out, _ = run(capsys, *asked[:-1], "second", "--resume", "--json")
    assert json.loads(out)["cost"]["maps"] == 1, "another class was asked for"
    code, out, _ = run(capsys, "verify", tmp_path / "cameraman.safetensors", photo, "--json")
    assert code == 0, out
    assert json.loads(out)["verified"]


def test_another_photo_or_other_numbers_are_noticed(photo, tmp_path, capsys) -> None:
    assert run(capsys, "explain", photo, "--out", tmp_path, *QUICK)[0] == 0
    saved = tmp_path / "cameraman.safetensors"
    other = tmp_path / "other.png"
    sample_photos()[0].save(other)
    code, out, _ = run(capsys, "verify", saved, other)
    assert code == 1
    assert "numbers differ: the photo, its page or window, the network or the file is another one" in out
    found = Explanation.load(saved)
    found.trust.kept[0, 1] += 0.3
    found.save(saved)
    code, out, _ = run(capsys, "verify", saved, photo)
    assert code == 1
    assert "1 of 5 numbers differ" in out


def test_what_is_not_defined_is_null_in_json(photo, tmp_path, capsys) -> None:
    assert run(capsys, "explain", photo, "--out", tmp_path, *QUICK)[0] == 0
    saved = tmp_path / "cameraman.safetensors"
    found = Explanation.load(saved)
    found.trust.kept[0, 1] = float("nan")
    found.save(saved)
    code, out, _ = run(capsys, "verify", saved, photo, "--json")
    assert code == 1
    numbers = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))["numbers"]
    assert [each["saved"] for each in numbers if not each["agrees"]] == [None]


def test_a_file_does_not_choose_code(photo, tmp_path, capsys) -> None:
    assert run(capsys, "explain", photo, "--out", tmp_path, *QUICK)[0] == 0
    saved = tmp_path / "cameraman.safetensors"
    found = Explanation.load(saved)
    found.notes["model"] = "python:trap.py:make"  # type: ignore[index]
    found.save(saved)
    code, _, err = run(capsys, "verify", saved, photo)
    assert code == 2
    assert "would run code" in err
    code, _, err = run(capsys, "verify", tmp_path / "nothing.safetensors", photo)
    assert code == 2
    assert "there is no file" in err
    safetensors.torch.save_file({}, tmp_path / "empty.safetensors")
    assert run(capsys, "verify", tmp_path / "empty.safetensors", photo)[0] == 2


def test_options_that_exclude_each_other_are_said_before_the_search(photo, tmp_path, capsys) -> None:
    code, _, err = run(capsys, "explain", photo, "--out", tmp_path / "o", "--against", "second", "--regions", 2)
    assert code == 2
    assert "--against makes a map of its own" in err
    code, _, err = run(capsys, "explain", photo, "--out", tmp_path / "o", *QUICK, "--against", "harmonika")
    assert code == 2
    assert "harmonica" in err


def test_a_class_of_low_probability_is_said_before_the_search(photo, tmp_path, capsys) -> None:
    code, _, err = run(capsys, "explain", photo, "--out", tmp_path, *QUICK, "--target", "goldfish")
    assert code == 0
    assert "goldfish has a probability of only 0.0%, so its map says little" in err
