"""Extremal perturbation: its mask's parts, its area, and on a network that looks at one square."""

import pytest
import torch
from PIL import Image
from skimage import data as photos
from torch import Tensor, nn

from maskstack.explainers.extremal import ExtremalPerturbation, SmoothMasks
from maskstack.models import load_model
from maskstack.tensors import gaussian_blur

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


@pytest.mark.slow
@pytest.mark.parametrize("area", [0.1, 0.25])
def test_the_mask_covers_the_square_and_has_the_area(area: float) -> None:
    found = ExtremalPerturbation(Looks(chequered()), areas=area, steps=100, sigma=0.06, cells=16)(chequered(), 0)
    mask = found.saliency[0, 0]
    assert float(mask.mean()) == pytest.approx(area, abs=0.05)
    inside = torch.zeros(SIZE, dtype=torch.bool)
    inside[SQUARE] = True
    assert mask[inside].mean() > 0.75
    assert mask[inside].sum() / mask.sum() > (0.7 if area == 0.1 else 0.35)


@pytest.mark.slow
def test_the_map_of_several_areas_is_highest_where_the_smallest_is() -> None:
    found = ExtremalPerturbation(Looks(chequered()), areas=(0.1, 0.3), steps=60, sigma=0.06, cells=16)(chequered(), 0)
    row, column = divmod(int(found.saliency[0, 0].argmax()), SIZE[1])
    assert 6 <= row < 26
    assert 34 <= column < 58


@pytest.mark.slow
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


@pytest.mark.slow
def test_on_a_photograph_it_keeps_more_of_the_score_than_random_masks_of_its_area_and_smoothness() -> None:
    net, target, area = load_model("bundled"), 282, 0.2
    image = net.preprocess(Image.fromarray(photos.chelsea())).unsqueeze(0)
    found = ExtremalPerturbation(net, areas=area, steps=80)(image, target)
    smooth = SmoothMasks((224, 224), cells=28, sigma=0.045, device=torch.device("cpu"))
    drawn = random_masks(smooth, area, count=20)
    assert float(drawn.mean()) == pytest.approx(area, abs=0.02)
    assert float(found.saliency.mean()) == pytest.approx(area, abs=0.04)
    whole, hidden = scores_under(net.model, image, torch.stack([torch.ones(224, 224), torch.zeros(224, 224)]), target)
    kept = scores_under(net.model, image, torch.cat([found.saliency[0], drawn]), target)
    share = (kept - hidden) / (whole - hidden)
    assert share[0] > share[1:].max()
    # Also where its faint greys are black: what counts are the places, not the contrast.
    cut = scores_under(net.model, image, torch.cat([opened(found.saliency[0], area), opened(drawn, area)]), target)
    assert cut[0] > cut[1:].mean()


def random_masks(smooth: SmoothMasks, area: float, *, count: int) -> Tensor:
    """Masks of random patches, of which so many cells are open that the masks have the area."""
    noise = torch.randn(count, 1, *smooth.grid, generator=torch.Generator().manual_seed(0))
    order = gaussian_blur(noise, 2).flatten(1).argsort(dim=1).argsort(dim=1)
    low, high = 0, smooth.count
    while high - low > 1:
        cells = (low + high) // 2
        masks = smooth.upsample(smooth((order < cells).float()))
        low, high = (cells, high) if masks.mean() < area else (low, cells)
    return masks


def opened(masks: Tensor, area: float) -> Tensor:
    """The area's highest pixels of each mask, N x H x W of zeros and ones, their rims softened alike."""
    least = masks.flatten(1).quantile(1 - area, dim=1).view(-1, 1, 1)
    return gaussian_blur((masks > least).float().unsqueeze(1), 3)[:, 0]


@torch.no_grad()
def scores_under(network: nn.Module, image: Tensor, masks: Tensor, target: int) -> Tensor:
    """Logits of the image over its blur under masks N x H x W."""
    blurred = gaussian_blur(image, 20)
    scores: Tensor = network(torch.lerp(blurred, image, masks.unsqueeze(1)))[:, target]
    return scores
