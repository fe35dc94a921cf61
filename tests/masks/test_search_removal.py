"""Steps that ask the hidden part: what a mask hides must not carry the score by itself."""

import pytest
import torch

from maskstack.masks.presets import SINGLE
from maskstack.masks.search import search

LEFT, RIGHT = (slice(4, 12), slice(2, 10)), (slice(16, 24), slice(20, 28))
SETTINGS = SINGLE.with_(sizes=(4, 8, 16), steps=60, fill="zero", smoothness=0, patience=0)


def either(images: torch.Tensor, _rows: torch.Tensor) -> torch.Tensor:
    """A score that two patches carry, each of them by itself."""
    left, right = (images[(slice(None), slice(None), *place)].mean(dim=(1, 2, 3)) for place in (LEFT, RIGHT))
    return 1 - (1 - left.clamp(0, 1)) * (1 - right.clamp(0, 1))


@pytest.fixture(scope="module")
def white() -> torch.Tensor:
    return torch.ones(1, 3, 32, 32)


@pytest.mark.parametrize("every", [2, 3])
def test_what_is_hidden_does_not_carry_the_score(white: torch.Tensor, every: int) -> None:
    mask = search(either, white, settings=SETTINGS.with_(removal_every=every, removal=2.0)).stack
    rows = torch.arange(1)
    assert either(white * mask.unsqueeze(1), rows) > 0.9
    assert either(white * (1 - mask).unsqueeze(1), rows) < 0.2
    assert min(mask[0][LEFT].mean(), mask[0][RIGHT].mean()) > 0.6, "both carry it, so both have to be found"
    assert mask.mean() < 0.4


def test_without_such_steps_what_is_hidden_may_carry_it(white: torch.Tensor) -> None:
    mask = search(either, white, settings=SETTINGS.with_(removal_every=0, mask_weight=4.0)).stack
    assert either(white * (1 - mask).unsqueeze(1), torch.arange(1)) > 0.4


def test_each_kind_of_step_sees_every_fill(white: torch.Tensor) -> None:
    seen = []

    def score(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            # The corner's colour where the mask is half open: half image, half fill.
            seen.append(round(float(images[0, 0, 0, 0]), 3))
        return either(images, rows)

    grey = white * torch.linspace(0, 1, 32)
    changes = {"steps": 12, "learning_rate": 1e-6, "start": 0.5, "fill": ("zero", "mean"), "removal_every": 2}
    search(score, grey, settings=SETTINGS.with_(**changes))
    assert seen == [0.0, 0.0, 0.25, 0.25] * 3


def test_one_is_refused_and_a_step_more_or_less_changes_the_turns() -> None:
    from maskstack.errors import InputError

    with pytest.raises(InputError, match="must not be 1"):
        SINGLE.with_(removal_every=1)
