"""Photos are searched for in groups: in order, of one size, and none is lost because of another one."""

import itertools
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskstack import Explanation
from maskstack.cli.main import main
from maskstack.errors import InputError
from maskstack.jobs.photo_group import groups_of, together
from maskstack.jobs.photos import PhotosRequest, PhotoTarget
from maskstack.masks.presets import PRESETS

NETWORK = """
from torch import nn
import torch
def tiny():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 7, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    return nn.Sequential(body, nn.Flatten(), nn.Linear(16, 3))
"""
OPTIONS = ["--model", "python:tiny_group:tiny", "--output", "logits", "--preset", "fast", "--steps", "3"]


@given(st.lists(st.sampled_from([(8, 8), (8, 9)]), max_size=20), st.integers(1, 6))
def test_groups_keep_the_order_and_hold_one_size(sizes, most) -> None:
    targets = [PhotoTarget(str(number), size, 0, Path(str(number))) for number, size in enumerate(sizes)]
    groups = list(groups_of(targets, most))
    assert [target for group in groups for target in group] == targets
    assert all(1 <= len(group) <= most and len({target.size for target in group}) == 1 for group in groups)
    # A group ends only because it is full or because the next photo has another size.
    for group, after in itertools.pairwise(groups):
        assert len(group) == most or group[-1].size != after[0].size


def test_a_pass_holds_few_masked_images_on_a_cpu_and_the_batch_size_elsewhere() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert {name: together(settings, cpu) for name, settings in PRESETS.items()} == {
        "default": 2, "fast": 4, "fine": 1, "single": 8, "paper": 2,
    }  # fmt: skip
    assert together(PRESETS["fast"], cuda) == 16
    assert together(PRESETS["fast"].with_(batch_size=2), cpu) == 1


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "tiny_group.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny_group", raising=False)
    monkeypatch.chdir(tmp_path)
    files = [f"{number}.png" for number in range(4)]
    for number, file in enumerate(files):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(file)
    return files


def test_a_photo_that_fails_leaves_those_before_it_finished(photos, monkeypatch, capsys) -> None:
    opened: Counter[str] = Counter()
    open_photo = PhotosRequest.open_photo

    def vanishing(self, file):
        opened[file] += 1
        if file == "2.png" and opened[file] > 1:
            raise InputError("there is no file 2.png; check the path")
        return open_photo(self, file)

    monkeypatch.setattr(PhotosRequest, "open_photo", vanishing)
    assert main(["explain", *photos, "--out", "out", *OPTIONS]) == 2
    assert "there is no file 2.png" in capsys.readouterr().err
    assert sorted(file.name for file in Path("out").glob("*.json")) == ["0.json", "1.json"]
    monkeypatch.undo()


def test_each_photo_of_a_group_gets_what_is_its_own(photos, capsys) -> None:
    assert main(["explain", *photos, "--out", "group", "--target", "1", "--against", "second", *OPTIONS]) == 0
    assert main(["explain", photos[2], "--out", "alone", "--target", "1", "--against", "second", *OPTIONS]) == 0
    alone, found = (Explanation.load(f"{out}/2.safetensors") for out in ("alone", "group"))
    torch.testing.assert_close(found.saliency, alone.saliency, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.contrast.tensors(), alone.contrast.tensors(), atol=1e-3, rtol=0)
    assert found.notes == alone.notes
    assert found.geometry == alone.geometry
    assert (found.forward_passes, found.target) == (alone.forward_passes, alone.target)
    assert len(found) == 1
