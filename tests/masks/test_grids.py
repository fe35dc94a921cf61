"""Grids of all sizes are upsampled together as torch upsamples each alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.masks.grids import Upsampler, as_grid_size, check_sizes
from maskstack.tensors import gaussian_blur

CPU = torch.device("cpu")


@st.composite
def images_and_grids(draw) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    size = st.tuples(st.integers(1, height), st.integers(1, width))
    return (height, width), draw(st.lists(size, min_size=1, max_size=4))


def padded(grids: list[torch.Tensor], cells: tuple[int, int], padding: float) -> torch.Tensor:
    return torch.stack(
        [functional.pad(g, (0, cells[1] - g.shape[1], 0, cells[0] - g.shape[0]), value=padding) for g in grids]
    )


@pytest.mark.slow
@given(images_and_grids(), st.integers(0, 2**31), st.sampled_from([0.0, 1.0, 1e3]))
@settings(deadline=None, max_examples=60)
def test_upsampling_is_torchs_bilinear_whatever_the_padding_holds(case, seed: int, padding: float) -> None:
    image, sizes = case
    generator = torch.Generator().manual_seed(seed)
    grids = [torch.rand(size, generator=generator) for size in sizes]
    upsampler = Upsampler.build(sizes, image, CPU)
    masks = upsampler(padded(grids, upsampler.cells, padding), torch.arange(len(sizes)))
    assert masks.shape == (len(sizes), *image)
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    for grid, mask in zip(grids, masks, strict=True):
        alone = functional.interpolate(grid[None, None], size=image, mode="bilinear", align_corners=False)[0, 0]
        torch.testing.assert_close(mask, alone, atol=2e-6, rtol=0)


@given(images_and_grids(), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_the_gradient_is_that_of_torchs_bilinear(case, seed: int) -> None:
    image, sizes = case
    generator = torch.Generator().manual_seed(seed)
    upsampler = Upsampler.build(sizes, image, CPU)
    grids = torch.rand(len(sizes), *upsampler.cells, generator=generator, requires_grad=True)
    weights = torch.rand(len(sizes), *image, generator=generator)
    (found,) = torch.autograd.grad((upsampler(grids, torch.arange(len(sizes))) * weights).sum(), grids)
    for index, (h, w) in enumerate(sizes):
        alone = grids[index, :h, :w].detach()[None, None].requires_grad_(True)
        mask = functional.interpolate(alone, size=image, mode="bilinear", align_corners=False)[0, 0]
        (expected,) = torch.autograd.grad((mask * weights[index]).sum(), alone)
        torch.testing.assert_close(upsampler.crop(found[index], index), expected[0, 0], atol=1e-4, rtol=1e-4)
        assert found[index].sum().item() == pytest.approx(expected.sum().item(), rel=1e-4), "padding has a gradient"


def test_leading_dimensions_pick_each_grids_own_size() -> None:
    upsampler = Upsampler.build([(2, 3), (4, 1)], (8, 9), CPU)
    grids = torch.rand(5, 2, *upsampler.cells, generator=torch.Generator().manual_seed(0))
    which = torch.tensor([[0, 1], [1, 0], [0, 0], [1, 1], [1, 0]])
    masks = upsampler(grids, which)
    assert masks.shape == (5, 2, 8, 9)
    for row in range(5):
        for column in range(2):
            single = upsampler(grids[row, column], which[row, column])
            torch.testing.assert_close(masks[row, column], single)


def test_a_grid_of_the_images_own_size_is_the_mask() -> None:
    grid = torch.rand(6, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Upsampler.build([(6, 9)], (6, 9), CPU)(grid, torch.tensor(0)), grid)


def test_crop_takes_the_padding_off() -> None:
    upsampler = Upsampler.build([(2, 5), (4, 3)], (8, 8), CPU)
    assert upsampler.cells == (4, 5)
    grids = torch.rand(3, 4, 5)
    assert torch.equal(upsampler.crop(grids, 0), grids[:, :2, :])
    assert torch.equal(upsampler.crop(grids, 1), grids[:, :, :3])


@pytest.mark.parametrize("size", [(9, 4), (4, 11), (9, 11)])
def test_a_grid_finer_than_the_image_is_refused(size) -> None:
    words = f"a grid of {size[0]} x {size[1]} cells is larger than the image of 8 x 10 pixels"
    with pytest.raises(InputError, match=words):
        Upsampler.build([(2, 2), size], (8, 10), CPU)
    check_sizes([(8, 10), (1, 1)], (8, 10))


@pytest.mark.parametrize(
    "size", [0, -1, True, 2.5, "7", "77", None, (), (1, 2, 3, 4), (1, 2, 0), (2, 0), (2, 2.0), (True, 2)], ids=repr
)
def test_what_is_no_grid_size_is_refused(size) -> None:
    with pytest.raises(InputError, match="positive whole number or a pair"):
        as_grid_size(size)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
@settings(deadline=None, max_examples=20)
def test_a_size_is_a_number_or_a_pair(height: int, width: int) -> None:
    assert as_grid_size(height) == (height, height)
    assert as_grid_size((height, width)) == as_grid_size([height, width]) == (height, width)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 8)), min_size=1, max_size=4), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_the_mean_over_sizes_is_the_mean_of_the_single_ones(sizes: list[tuple[int, int]], seed: int) -> None:
    upsampler = Upsampler.build(sizes, (12, 17), CPU)
    grids = torch.rand(3, len(sizes), *upsampler.cells, generator=torch.Generator().manual_seed(seed))
    single = upsampler(grids, torch.arange(len(sizes)).expand(3, -1))
    torch.testing.assert_close(upsampler.mean(grids), single.mean(dim=1), rtol=1e-5, atol=1e-6)


def test_the_blur_of_the_grids_is_a_blur_of_the_masks() -> None:
    sizes = ((2, 2), (5, 3), (8, 8))
    grids = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    which = torch.arange(3).expand(2, -1)
    sharp, soft = (Upsampler.build(sizes, (32, 24), CPU, blur=blur) for blur in (0.0, 1.5))
    torch.testing.assert_close(soft(grids, which), gaussian_blur(sharp(grids, which), 1.5))
    torch.testing.assert_close(soft.mean(grids), gaussian_blur(sharp.mean(grids)[:, None], 1.5)[:, 0])
