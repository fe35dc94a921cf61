"""What a metric does not take is an error with a sentence, and never a number."""

import pytest
import torch

from maskstack import metrics
from maskstack.errors import InputError

MAP = torch.rand(12, 16, generator=torch.Generator().manual_seed(0))
INSIDE = torch.zeros(12, 16, dtype=torch.bool)
INSIDE[2:5, 3:8] = True
IMAGE = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(1))
NAN = MAP.clone()
NAN[3, 4] = torch.nan
BOX = torch.tensor([[3.0, 2.0, 8.0, 5.0]])


def brightness(images: torch.Tensor) -> torch.Tensor:
    return images.mean(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.pointing_game(MAP, INSIDE.T), "height and width must be equal"),
        (lambda: metrics.pointing_game(MAP, INSIDE[0]), "must be H x W"),
        (lambda: metrics.pointing_game(NAN, INSIDE), "contains NaN"),
        (lambda: metrics.energy_in_box(MAP, INSIDE.T), "height and width must be equal"),
        (lambda: metrics.energy_in_box(MAP, INSIDE[0]), "must be H x W"),
        (lambda: metrics.energy_in_box(NAN, INSIDE), "contains NaN"),
        (lambda: metrics.energy_in_box(MAP - 0.5, INSIDE), "negative values"),
        (lambda: metrics.entropy(MAP / 0), "infinite values"),
        (lambda: metrics.box_ious(MAP / 0, BOX), "infinite values"),
        (lambda: metrics.box_ious(MAP, BOX[:, [2, 3, 0, 1]]), "negative size"),
        (lambda: metrics.box_ious(MAP, BOX * torch.nan), "not finite"),
        (lambda: metrics.max_box_acc(torch.full((4, 3), torch.nan)), "an overlap is NaN"),
        (lambda: metrics.max_box_acc(torch.rand(4, 3), delta=50), "from 0 to 1"),
        (lambda: metrics.pieces(MAP, threshold=2), "at most 1"),
        (lambda: metrics.structural_similarity(MAP * 255, MAP * 255), "outside \\[0, 1\\]"),
        (lambda: metrics.average_drop(torch.rand(3), torch.rand(3, 1)), "one score per image"),
        (lambda: metrics.average_increase(torch.rand(3), torch.rand(3, 1)), "one score per image"),
        (lambda: metrics.area_under(torch.rand(1)), "at least two scores"),
        (lambda: metrics.area_under(torch.rand(2, 5)), "at least two scores"),
        (lambda: metrics.deletion(lambda x: brightness(x)[:, None], IMAGE, MAP, 0 * IMAGE), "one number per image"),
        (lambda: metrics.deletion(brightness, IMAGE, MAP, IMAGE.mT), "must be C x H x W"),
    ],
)
def test_a_metric_refuses_what_it_does_not_take(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_masks_of_0_and_255_and_maps_of_whole_numbers_count_as_their_meaning() -> None:
    grey = INSIDE.to(torch.uint8) * 255
    levels = (MAP * 255).to(torch.uint8)
    assert metrics.energy_in_box(MAP, grey) == metrics.energy_in_box(MAP, INSIDE)
    assert metrics.energy_in_box(levels, INSIDE).item() == pytest.approx(
        metrics.energy_in_box(MAP, INSIDE).item(), abs=0.01
    )
    assert metrics.pointing_game(MAP, torch.full_like(grey, 255)) == 1


def test_the_sum_of_a_large_map_in_half_precision_does_not_overflow() -> None:
    half = torch.ones(300, 400, dtype=torch.float16)
    assert metrics.energy_in_box(half, half > 0) == 1


def test_scores_that_are_nan_stay_nan() -> None:
    before, masked = torch.tensor([0.5, torch.nan, 0.5]), torch.tensor([torch.nan, 0.1, 0.25])
    assert metrics.average_drop(before, masked).isnan().tolist() == [True, True, False]
    assert metrics.average_increase(before, masked).isnan().tolist() == [True, True, False]


def test_a_fill_of_one_colour_may_be_broadcast() -> None:
    grey = IMAGE.mean(dim=(1, 2), keepdim=True)
    for metric in (metrics.deletion, metrics.insertion):
        assert metric(brightness, IMAGE, MAP, grey) == metric(brightness, IMAGE, MAP, grey.expand_as(IMAGE))


def test_a_map_of_one_row_has_a_roughness() -> None:
    assert metrics.roughness(torch.tensor([[1.0, 0.0, 1.0]])).item() == pytest.approx(1.5)
    assert metrics.roughness(torch.ones(1, 1)) == 0
