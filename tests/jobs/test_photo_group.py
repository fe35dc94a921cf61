"""Groups of photos that are searched for together: in order, of one size, and as large as suits the device."""

import itertools
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from maskstack.jobs.photo_group import groups_of, together
from maskstack.jobs.targets import PhotoTarget
from maskstack.masks.presets import PRESETS


@given(st.lists(st.sampled_from([(8, 8), (8, 9)]), max_size=20), st.integers(1, 6))
def test_groups_keep_the_order_and_hold_one_size(sizes, most) -> None:
    targets = [PhotoTarget(str(number), size, 0, Path(str(number))) for number, size in enumerate(sizes)]
    groups = list(groups_of(targets, most))
    assert [target for group in groups for target in group] == targets
    assert all(1 <= len(group) <= most and len({target.size for target in group}) == 1 for group in groups)
    # A group ends only because it is full or because the next photo has another size.
    for group, after in itertools.pairwise(groups):
        assert len(group) == most or group[-1].size != after[0].size


def test_a_pass_holds_few_masked_images_on_a_cpu_and_single_searches_are_alone() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert {name: together(settings, cpu) for name, settings in PRESETS.items()} == {
        "default": 2, "fast": 4, "fine": 1, "single": 1, "paper": 1,
    }  # fmt: skip
    assert together(PRESETS["fast"], cuda) == 16
    assert together(PRESETS["fast"].with_(batch_size=2), cpu) == 1
