"""RISE against a loop written by hand, and on a network that looks at one place."""

import math

import pytest
import torch
from torch import Tensor, nn

from maskstack import InputError
from maskstack.explainers.rise import RISE, RandomMasks


class Looks(nn.Module):
    """Answers by how much there is at one place."""

    def forward(self, x: Tensor) -> Tensor:
        there = x[:, :, 8:14, 24:32].mean(dim=(1, 2, 3))
        return torch.stack([there, -there], dim=1)


def image() -> Tensor:
    return torch.rand(1, 3, 30, 44, generator=torch.Generator().manual_seed(1)) + 0.5


@pytest.mark.parametrize("size", [(30, 44), (28, 28), (45, 20)])
def test_masks_are_upsampled_grids_seen_through_a_window(size: tuple[int, int]) -> None:
    drawn = RandomMasks.draw(25, size, cells=7, p=0.5, seed=3)
    masks = torch.cat([drawn.slice(0, 10), drawn.slice(10, 25)])
    assert masks.shape == (25, *size)
    high, wide = (math.ceil(side / 7) for side in size)
    for mask, grid, down, right in zip(masks, drawn.grids, drawn.down, drawn.right, strict=True):
        whole = nn.functional.interpolate(grid[None, None], size=(8 * high, 8 * wide), mode="bilinear")[0, 0]
        assert torch.allclose(mask, whole[down : down + size[0], right : right + size[1]], atol=1e-6)
    assert drawn.down.max() == high
    assert drawn.down.min() == 0


def test_the_share_of_open_cells_is_p() -> None:
    assert float(RandomMasks.draw(2000, (28, 28), cells=7, p=0.3, seed=0).grids.mean()) == pytest.approx(0.3, abs=0.01)


def test_rise_equals_a_loop_by_hand() -> None:
    net, x = Looks(), image()
    found = RISE(net, masks=50, grid=5, p=0.4, seed=2, batch_size=8)(x, 0)
    masks = RandomMasks.draw(50, (30, 44), cells=5, p=0.4, seed=2).slice(0, 50)
    total = torch.zeros(30, 44)
    for mask in masks:
        total += float(net(mask * x).softmax(dim=1)[0, 0]) * mask
    total /= 50 * 0.4
    assert torch.allclose(found.saliency[0, 0], (total - total.min()) / (total.max() - total.min()), atol=1e-4)


def test_rise_finds_the_place_the_network_looks_at() -> None:
    saliency = RISE(Looks(), masks=800, grid=6, objective="logit", batch_size=64)(image(), 0).saliency[0, 0]
    row, column = divmod(int(saliency.argmax()), 44)
    assert 8 <= row < 14
    assert 24 <= column < 32


def test_a_grid_finer_than_the_image_is_an_error() -> None:
    with pytest.raises(InputError, match="grid is 40"):
        RISE(Looks(), grid=40)(image(), 0)
