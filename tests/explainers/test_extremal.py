"""Extremal perturbation: its mask's parts, its area, and on a network that looks at one square."""

import pytest
import torch
from torch import Tensor, nn

from maskstack.explainers.extremal import BLUR_LEVELS, BlurLevels, ExtremalPerturbation, SmoothMasks
from maskstack.masks.fills import gaussian_blur

SIZE = (48, 64)
SQUARE = (slice(8, 24), slice(36, 56))  # a tenth of the image


class Looks(nn.Module):
    """Answers by how sharp one square of a chequered image is; blurred, it is grey."""

    def __init__(self, pattern: Tensor) -> None:
        super().__init__()
        self.pattern = nn.Parameter(pattern)

    def forward(self, x: Tensor) -> Tensor:
        sharp = (x * self.pattern)[:, :, *SQUARE].mean(dim=(1, 2, 3))
        return torch.stack([10 * sharp, torch.zeros_like(sharp)], dim=1)


def chequered() -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    return ((y // 2 + x // 2) % 2 * 2.0 - 1).expand(1, 3, *SIZE).clone()


def smooth(sigma: float = 0.06) -> SmoothMasks:
    return SmoothMasks(SIZE, cells=16, sigma=sigma, device=torch.device("cpu"))


@pytest.mark.parametrize("area", [0.1, 0.25])
def test_the_mask_covers_the_square_and_has_the_area(area: float) -> None:
    found = ExtremalPerturbation(Looks(chequered()), areas=area, steps=100, sigma=0.06, cells=16)(chequered(), 0)
    mask = found.saliency[0, 0]
    assert float(mask.mean()) == pytest.approx(area, abs=0.05)
    inside = torch.zeros(SIZE, dtype=torch.bool)
    inside[SQUARE] = True
    assert mask[inside].mean() > 0.75
    assert mask[inside].sum() / mask.sum() > (0.7 if area == 0.1 else 0.35)


def test_the_map_of_several_areas_is_highest_where_the_smallest_is() -> None:
    found = ExtremalPerturbation(Looks(chequered()), areas=(0.1, 0.3), steps=60, sigma=0.06, cells=16)(chequered(), 0)
    row, column = divmod(int(found.saliency[0, 0].argmax()), SIZE[1])
    assert 6 <= row < 26
    assert 34 <= column < 58


def test_problems_cut_into_passes_differently_give_the_same_map() -> None:
    images = torch.cat([chequered(), chequered().flip(2) * 0.7])
    maps = [
        ExtremalPerturbation(
            Looks(chequered()), areas=(0.1, 0.2, 0.4), steps=12, sigma=0.06, cells=16, batch_size=size
        )(images, 0).saliency
        for size in (32, 4, 1)
    ]
    assert torch.allclose(maps[0], maps[1], atol=1e-3)
    assert torch.allclose(maps[0], maps[2], atol=1e-3)


def test_smooth_masks_of_all_and_of_nothing_are_all_and_nothing() -> None:
    masks = smooth()
    assert masks.upsample(masks(torch.ones(1, masks.count))).min() > 0.8
    assert masks.upsample(masks(torch.zeros(1, masks.count))).max() == 0


def test_no_place_is_preferred_before_anything_is_learned() -> None:
    """Or the area's price would open the corners first, whatever the network answers."""
    masks = smooth()
    flat = masks(torch.full((1, masks.count), 0.5))
    assert float(flat.max() - flat.min()) < 1e-5


def test_one_open_cell_makes_a_round_hill_no_steeper_than_the_kernel() -> None:
    masks = smooth()
    values = torch.zeros(1, *masks.grid)
    values[0, 8, 10] = 1
    hill = masks(values.flatten(1)).reshape(masks.grid)
    assert hill[8, 10] > 0.9
    assert torch.allclose(hill[8, 11:15], hill[8, 6:10].flip(0), atol=1e-6)
    assert torch.allclose(hill[9:13, 10], hill[8, 11:15], atol=1e-6)
    assert (hill[8, 10:15].diff() <= 0).all()
    assert hill[8, 15] < 0.1


def test_the_blur_is_as_strong_as_the_mask_is_closed() -> None:
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    blurs = BlurLevels(images, sigma=4.5)
    which = torch.tensor([1, 0, 1])
    for share, sigma in ((1.0, 0.0), (0.0, 4.5), (1 - 4 / (BLUR_LEVELS - 1), 2.0)):
        shown = blurs(torch.full((3, *SIZE), share), which)
        assert torch.allclose(shown, gaussian_blur(images, sigma)[which], atol=1e-4)


def test_the_blur_lets_the_gradient_through_to_the_mask() -> None:
    images = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blurs = BlurLevels(images, sigma=2.0)
    masks = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda m: blurs(m, torch.tensor([0])), [masks])
