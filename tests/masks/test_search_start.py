"""A search can begin with masks of its own for each image."""

import pytest
import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.masks.presets import SINGLE
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings


def score(images: Tensor, _rows: Tensor) -> Tensor:
    return images.mean(dim=(1, 2, 3))


def settings(**changes) -> SearchSettings:
    # A step too small to see, so that what comes out is what was put in.
    return SINGLE.with_(
        **{"sizes": (4, 8), "steps": 1, "learning_rate": 1e-6, "fill": "zero", "removal_every": 0, **changes}
    )


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("parametrisation", ["sigmoid", "clip"])
def test_each_image_and_size_begins_with_its_own_mean_over_the_cells(joint: bool, parametrisation: str) -> None:
    start = torch.full((2, 16, 16), 0.2)
    start[0, :8] = 0.9
    start[1, :, 12:] = 0.6
    changes = {"joint": joint, "parametrisation": parametrisation, "stack": "mean"}
    found = search(score, torch.ones(2, 1, 16, 16), settings=settings(**changes), start=start)
    coarse, fine = found.grids
    assert torch.allclose(coarse, start[:, ::4, ::4], atol=1e-3)
    assert torch.allclose(fine, start[:, ::2, ::2], atol=1e-3)


def test_without_it_the_settings_say() -> None:
    found = search(score, torch.ones(1, 1, 16, 16), settings=settings(start=0.3))
    assert torch.allclose(found.stack, torch.tensor(0.3), atol=1e-3)


@pytest.mark.parametrize(
    "start", [torch.full((1, 8, 8), 0.5), torch.ones(1, 16, 16), torch.full((1, 16, 16), torch.nan)]
)
def test_a_start_that_does_not_fit_gets_one_clear_sentence(start: Tensor) -> None:
    with pytest.raises(InputError, match=r"must be \(1, 16, 16\), with values between 0 and 1"):
        search(score, torch.ones(1, 1, 16, 16), settings=settings(), start=start)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("stack", ["mean", "log_odds"])
def test_a_capped_mask_opens_only_within_its_cap_and_is_what_the_score_sees(joint: bool, stack: str) -> None:
    cap = torch.zeros(1, 16, 16)
    cap[:, :, :8], cap[:, :4, :4] = 1, 0.5
    seen = []

    def watched(images: Tensor, rows: Tensor) -> Tensor:
        seen.append(images.detach())
        return score(images, rows)

    free = settings(joint=joint, stack=stack, steps=8, learning_rate=0.5, mask_weight=0.1)
    found = search(watched, torch.ones(1, 1, 16, 16), settings=free, mask_cap=cap)
    assert (found.stack <= cap).all()
    assert (found.masks <= cap.unsqueeze(1)).all()
    assert found.stack[:, :, :8].min() > 0.2
    assert torch.equal(seen[-1][:, 0], found.stack)
    assert all(image[..., 8:].max() == 0 for image in seen[2:])


@pytest.mark.parametrize("cap", [torch.ones(1, 8, 8), torch.full((1, 16, 16), 1.5)])
def test_a_cap_that_does_not_fit_gets_one_clear_sentence(cap: Tensor) -> None:
    with pytest.raises(InputError, match=r"must be \(1, 16, 16\), with values from 0 to 1"):
        search(score, torch.ones(1, 1, 16, 16), settings=settings(), mask_cap=cap)
