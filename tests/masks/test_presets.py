"""Settings with a name."""

import pytest
import torch
from torch import Tensor

from maskstack import MDM
from maskstack.errors import InputError
from maskstack.masks import PRESETS, SearchSettings, preset
from maskstack.masks.search import search


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_found_by_its_name_and_survives_being_written_down(name: str) -> None:
    found = preset(name)
    assert found is PRESETS[name]
    assert SearchSettings.from_dict(found.as_dict()) == found


def test_without_a_preset_a_search_has_the_default_one() -> None:
    assert MDM(lambda images: images).settings == preset("default") == SearchSettings()


def test_fast_takes_fewer_steps_than_default_and_fine_more() -> None:
    fast, default, fine = (preset(name).passes() for name in ("fast", "default", "fine"))
    assert fast[0] < default[0] < fine[0]
    assert fast[1] < default[1] < fine[1]


def test_the_papers_preset_is_the_plain_method() -> None:
    seen: list[Tensor] = []

    def score(images: Tensor, _rows: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            seen.append(images.detach().clone())
        return images.mean(dim=(1, 2, 3))

    paper = preset("paper").with_(steps=3, sizes=(2, 4), learning_rate=1e-6)
    images = torch.ones(1, 1, 8, 8)
    together = search(score, images, settings=paper)
    assert len(seen) == 3
    assert all(len(batch) == 2 for batch in seen), "each size is learned by a mask of its own, with a pass each"
    for batch in seen:  # half open, over one fill, which is zero; no step shows what the mask hides
        torch.testing.assert_close(batch, torch.full_like(batch, 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(together.stack, together.masks.mean(dim=1))
    for index, size in enumerate(paper.sizes):
        alone = search(score, images, settings=paper.with_(sizes=(size,)))
        torch.testing.assert_close(alone.masks[:, 0], together.masks[:, index])
    assert preset("paper").smoothness == 0, "the loss is consistency and mask value only"
    assert len(preset("paper").sizes) > 1, "masks of several sizes"


def test_a_mistyped_preset_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"preset is 'papr'; it must be one of .*\(did you mean paper\?\)"):
        preset("papr")
