"""Settings with a name."""

import pytest

from maskstack.errors import InputError
from maskstack.masks import PRESETS, SearchSettings, preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_found_by_its_name_and_survives_being_written_down(name: str) -> None:
    found = preset(name)
    assert found is PRESETS[name]
    assert SearchSettings.from_dict(found.as_dict()) == found


def test_the_default_preset_is_that_of_plain_settings() -> None:
    assert preset("default") == SearchSettings()


def test_the_papers_preset_is_the_plain_method() -> None:
    paper = preset("paper")
    assert len(paper.sizes) > 1, "masks of several sizes"
    assert not paper.joint, "each size is learned independently of the others"
    assert paper.smoothness == 0, "the loss is consistency and mask value only"
    assert len(paper.fill) == 1


def test_a_mistyped_preset_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"preset is 'papr'; it must be one of .*\(did you mean paper\?\)"):
        preset("papr")
