"""The search finds the region that carries the score, for each image by itself, and stops where it is done."""

import pytest
import torch
from tests.masks.toys import Counted
from torch.nn import functional

from maskstack.masks.presets import SINGLE
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings

SIDE = 32
PATCHES = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
"""The pixels whose mean is the score of each image."""
PATCHES[0, 4:12, 8:20] = PATCHES[1, 16:28, 20:32] = PATCHES[2, 0:8, 24:32] = True


def quick(**changes) -> SearchSettings:
    changes = {
        "sizes": ((8, 8),), "joint": True, "steps": 60, "learning_rate": 0.2, "mask_weight": 1.0, "fill": ("zero",),
        "patience": 0, "smoothness": 0.0, "consistency": "one_sided", "parametrisation": "sigmoid", "start": 0.5,
        "stack": "mean", "removal_every": 0, "batch_size": 32, "seed": 0, **changes,
    }  # fmt: skip
    return SINGLE.with_(**changes)


def patch_score(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    patches = PATCHES[rows].float()
    return (images.mean(dim=1) * patches).sum(dim=(1, 2)) / patches.sum(dim=(1, 2))


def inside_and_outside(mask: torch.Tensor, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask values in the patch, and those out of reach of the cells that touch it (of 4 pixels)."""
    near = functional.max_pool2d(PATCHES[row][None].float(), 13, 1, 6)[0].bool()
    return mask[PATCHES[row]], mask[~near]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"parametrisation": "clip", "learning_rate": 0.05},
        {"consistency": "squared", "mask_weight": 0.1},
        {"consistency": "absolute"},
        {"smoothness": 0.1},
        {"sizes": (8, 16, (8, 32)), "joint": True},
        {"sizes": (8, 16), "joint": False},
        {"sizes": (8, 16), "joint": False, "stack": "geometric"},
        {"fill": ("zero", "mean"), "steps": 80},
        {"fill": ("noise",), "steps": 80},
        {"patience": 5, "steps": 500},
        {"stack": "log_odds"},
        {"stack": "log_odds", "sizes": (4, 8, 16), "removal_every": 3, "removal": 1.0},
        {"stack": "log_odds", "sizes": (8, 16), "joint": False},
    ],
    ids=str,
)
def test_the_mask_opens_what_carries_the_score_and_closes_the_rest(changes) -> None:
    generator = torch.Generator().manual_seed(0)
    images = 1 + 0.2 * torch.rand(3, 3, SIDE, SIDE, generator=generator)
    if "fill" in changes:  # or else the mean would show what the image shows
        images = images - 1 + PATCHES.unsqueeze(1)
    found = search(patch_score, images, settings=quick(**changes))
    for row in range(3):
        inside, outside = inside_and_outside(found.stack[row], row)
        assert inside.mean() > 0.8, "the patch is not open"
        assert outside.max() < 0.1, "the rest is not closed"
        assert outside.mean() < 0.05
    assert (found.under_stack > 0.8 * found.before).all()
    assert found.stack.min() >= 0
    assert found.stack.max() <= 1 + 1e-6


@pytest.mark.parametrize("parametrisation", ["sigmoid", "clip"])
def test_a_negative_or_zero_score_is_kept_as_well(parametrisation: str) -> None:
    images = torch.ones(1, 1, SIDE, SIDE)
    for shift in (-1.0, -3.0):  # the image scores 0 or -2, the empty image -1 or -3
        found = search(
            lambda x, rows, shift=shift: patch_score(x, rows) + shift,
            images,
            settings=quick(parametrisation=parametrisation, mask_weight=0.3),
        )
        inside, outside = inside_and_outside(found.stack[0], 0)
        assert inside.mean() > 0.8
        assert outside.max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize(
    "changes",
    [{}, {"fill": ("noise", "blur", "mean")}, {"patience": 3}, {"fill": "noise", "patience": 3, "keep": 0.9}],
    ids=str,
)
def test_images_together_are_as_each_alone(net_score, photos, joint: bool, changes) -> None:
    settings = quick(
        sizes=(3, (8, 5)),
        steps=12,
        joint=joint,
        batch_size=3,
        consistency="squared",
        mask_weight=0.1,
        **changes,
    )
    counted = Counted(net_score)
    together = search(counted, photos, settings=settings)
    assert together.stack.flatten(1).std(dim=1).min() > 0.05, "the masks hardly moved"
    for row in range(len(photos)):
        one = Counted(net_score)
        alone = search(one, photos[row : row + 1], settings=settings)
        torch.testing.assert_close(alone.masks[0], together.masks[row], atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.stack[0], together.stack[row], atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.hidden[0], together.hidden[row], atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.under_masks[0], together.under_masks[row], atol=1e-4, rtol=0)
        assert torch.equal(alone.steps[0], together.steps[row])
        assert torch.equal(alone.opening[0], together.opening[row])
        assert one.forward[0] == counted.forward[row]


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("fill", [("zero",), ("zero", "noise", "blur")])
def test_passes_are_those_the_settings_say_less_the_steps_saved(net_score, photos, joint: bool, fill) -> None:
    counted = Counted(net_score)
    settings = quick(sizes=(2, 4, 7), steps=9, joint=joint, fill=fill, batch_size=4, patience=2, tolerance=0.1)
    found = search(counted, photos, settings=settings)
    steps = found.steps[:, 0] if joint else found.steps.sum(dim=1)
    assert steps.tolist() == counted.backward[: len(photos)].tolist()
    forward, backward = settings.passes()
    saved = backward - steps
    assert (forward - saved).tolist() == counted.forward[: len(photos)].tolist()
    assert saved.any(), "no image was done early"


@pytest.mark.slow
def test_leaving_early_saves_passes_and_hardly_changes_the_mask() -> None:
    images = torch.ones(3, 1, SIDE, SIDE)
    early, full = Counted(patch_score), Counted(patch_score)
    patient = search(early, images, settings=quick(steps=200, patience=5, tolerance=1e-3))
    whole = search(full, images, settings=quick(steps=200))
    assert whole.steps.tolist() == [[200]] * 3
    assert (patient.steps < 120).all()
    assert (early.forward[:3] < full.forward[:3] - 80).all()
    assert (patient.stack - whole.stack).abs().max() < 0.1


def test_what_is_reported_is_what_the_score_says_of_the_masks(net_score, photos) -> None:
    settings = quick(sizes=(2, 5), joint=False, steps=5, fill=("blur", "zero"))
    found = search(net_score, photos, settings=settings)
    rows = torch.arange(len(photos))
    zero = torch.zeros_like(photos)
    torch.testing.assert_close(found.before, net_score(photos, rows))
    torch.testing.assert_close(found.hidden[:, 1], net_score(zero, rows))
    grid = functional.interpolate(found.grids[1].unsqueeze(1), size=photos.shape[2:], mode="bilinear")[:, 0]
    torch.testing.assert_close(found.masks[:, 1], grid)
    torch.testing.assert_close(found.stack, found.masks.mean(dim=1))
    again = search(net_score, photos, settings=settings.with_(fill=("zero",), steps=5))
    torch.testing.assert_close(again.under_stack, net_score(photos * again.stack.unsqueeze(1), rows))
    torch.testing.assert_close(again.under_masks[:, 0], net_score(photos * again.masks[:, :1], rows))


def test_a_joint_step_learns_the_mean_of_the_sizes(net_score, photos) -> None:
    seen: list[torch.Tensor] = []

    def score(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        seen.append(images.detach())
        return net_score(images, rows)

    counted = Counted(score)
    found = search(counted, photos, settings=quick(sizes=(2, 5), steps=2, start=0.3))
    first = torch.cat(seen)[2 * len(photos) : 3 * len(photos)]  # after the images and their fills alone
    torch.testing.assert_close(first, photos * 0.3)
    assert counted.backward.tolist()[: len(photos)] == [2] * len(photos), "one pass an image and step for all sizes"
    assert found.steps.tolist() == [[2, 2]] * 5
