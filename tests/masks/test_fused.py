"""Steps of a search that are written by hand for speed, compared with what autograd and plain loops make of them."""

import pytest
import torch
from torch.nn import functional

from maskstack.masks.adam import BETAS, EPSILON, DampedAdam
from maskstack.masks.grids import Upsampler, corner
from maskstack.masks.losses import area_and_contour, mask_value, total_variation
from maskstack.masks.shifts import Margined
from maskstack.masks.shown import FEW_CHANNELS, Scene, Sides, shown
from maskstack.reliability.measure import CELLS, pooled
from maskstack.tensors import mean_agreement

CPU = torch.device("cpu")
SIZES = ((2, 3), (4, 4), (9, 7))


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_mean_of_upsampled_grids_and_its_gradient_are_those_of_each_grid() -> None:
    upsampler = Upsampler.build(SIZES, (20, 22), CPU, blur=1.0)
    grids = noise(5, len(SIZES), *upsampler.cells).requires_grad_(True)
    weights = noise(5, 20, 22)
    fused = upsampler.mean(grids)
    each = upsampler(grids, torch.arange(len(SIZES)).expand(5, -1))
    torch.testing.assert_close(torch.stack(list(upsampler.each_size(grids)), dim=1), each, rtol=1e-5, atol=1e-6)
    plain = each.mean(dim=1)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
    (one,) = torch.autograd.grad((fused * weights).sum(), grids)
    (other,) = torch.autograd.grad((plain * weights).sum(), grids, retain_graph=True)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    masks, plain = upsampler.mean(grids, log_odds=True), each.mean(dim=1).sigmoid()
    assert torch.equal(masks, fused.sigmoid())
    (one,) = torch.autograd.grad((masks * weights).sum(), grids)
    (other,) = torch.autograd.grad((plain * weights).sum(), grids)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 12, 9), (2, 5, 6, 7), (2, 1, 8)])
def test_total_variation_and_its_gradient_are_those_of_the_written_out_loss(shape: tuple[int, ...]) -> None:
    masks = (noise(*shape) * 2e-3).requires_grad_(True)  # differences on both sides of the smallest that counts fully
    places = tuple(range(1, len(shape)))
    plain = masks.new_zeros(shape[0])
    for axis in places:
        difference = masks.diff(dim=axis)
        loss = functional.huber_loss(difference, torch.zeros_like(difference), reduction="none", delta=1e-3) / 1e-3
        section = masks[0].numel() / shape[axis]
        plain = plain + loss.sum(dim=places) / section / len(places)
    torch.testing.assert_close(total_variation(masks), plain, rtol=1e-5, atol=1e-7)
    weights = noise(shape[0])
    (one,) = torch.autograd.grad((total_variation(masks) * weights).sum(), masks)
    (other,) = torch.autograd.grad((plain * weights).sum(), masks)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    area, contour = area_and_contour(masks)
    assert torch.equal(area, mask_value(masks))
    assert torch.equal(contour, total_variation(masks))
    (both,) = torch.autograd.grad((area * 3 + contour * weights).sum(), masks)
    torch.testing.assert_close(both, other + 3 / masks[0].numel(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("alike", [True, False])
def test_adam_on_cells_alone_moves_them_as_on_padded_grids(alike: bool) -> None:
    cells = torch.zeros(2, 3, 9, 7)
    for problem in range(2):
        for grid, size in enumerate(SIZES if alike or problem == 0 else SIZES[::-1]):
            cells[problem, grid][corner(size)] = 1
    free, rates = noise(2, 3, 9, 7), torch.rand(2, 3, 1, 1, dtype=torch.float64)
    found = free.clone()
    adam = DampedAdam(found, cells, rates, damping=0.5)
    first, second = torch.zeros_like(free), torch.zeros_like(free)
    for step in range(1, 5):
        gradient = noise(2, 3, 9, 7) * cells * step
        adam.step(adam.packed(gradient))
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
        mean = second.sum(dim=(2, 3), keepdim=True) / cells.sum(dim=(2, 3), keepdim=True)
        size = ((second + 0.5 * mean) / 1.5 / (1 - BETAS[1] ** step)).sqrt() + EPSILON
        free = free - rates.float() * first / (1 - BETAS[0] ** step) / size
    torch.testing.assert_close(found * cells, free * cells, rtol=1e-4, atol=1e-5)


def test_members_agree_on_cells_as_they_do_on_pixels() -> None:
    grids = noise(1, 4, 14, 14)
    maps = functional.interpolate(grids + 2 * grids[:, :1], size=224, mode="bilinear").sigmoid()
    small = pooled(maps)
    assert small.shape == (1, 4, CELLS, CELLS)
    assert float(mean_agreement(small[0])) == pytest.approx(float(mean_agreement(maps[0])), abs=0.01)
    constant = torch.full((1, 2, 100, 90), 0.3)
    assert float(mean_agreement(pooled(constant)[0])) == 1, "two constant maps order the pixels alike"


@pytest.mark.parametrize("sides", [(12, 9), (5, 6, 7)])
@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("channels", [1, 3, FEW_CHANNELS + 1])
def test_masked_images_and_their_gradient_are_those_of_shifted_images_and_masks(
    sides: tuple[int, ...], margin: int, channels: int
) -> None:
    images, masks = noise(2, channels, *sides), noise(4, *sides).sigmoid()
    fill = noise(2, channels, *sides).flip(0) + 0.5
    colour = fill.flatten(2).mean(dim=2).reshape(2, channels, *[1] * len(sides)).expand_as(fill)
    masks.requires_grad_(True)
    shifts = [[margin] * len(sides), [-margin] * len(sides), [0, *[margin] * (len(sides) - 1)], [0] * len(sides)]
    rows, closed = [0, 0, 1, 1], [fill, colour, colour, fill]
    own = Margined.around(images, margin)
    scenes = [
        Scene(Sides.of(own, Margined.around(behind, margin)), number == 3, row, shift)  # the last mask hides the image
        for number, (behind, row, shift) in enumerate(zip(closed, rows, shifts, strict=True))
    ]
    fused = shown(masks, scenes)

    def shifted(values: torch.Tensor, shift: list[int]) -> torch.Tensor:
        for axis, offset in enumerate(shift, start=values.ndim - len(sides)):
            side = values.shape[axis]
            places = (torch.arange(side) + offset).abs()
            values = values.index_select(axis, torch.where(places >= side, 2 * (side - 1) - places, places))
        return values

    plain = []
    for number, (behind, row, shift) in enumerate(zip(closed, rows, shifts, strict=True)):
        mask = masks[number] if number < 3 else 1 - masks[number]
        blended = mask * images[row] + (1 - mask) * behind[row]
        plain.append(shifted(blended, shift))
    torch.testing.assert_close(fused, torch.stack(plain), rtol=1e-5, atol=1e-6)
    weights = noise(4, channels, *sides).flip(0)
    (one,) = torch.autograd.grad((fused * weights).sum(), masks)
    (other,) = torch.autograd.grad((torch.stack(plain) * weights).sum(), masks)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
