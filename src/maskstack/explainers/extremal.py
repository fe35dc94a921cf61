"""Extremal perturbation: the smooth mask of a given area that keeps the score highest (Fong et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor
from torch.nn import functional

from maskstack import checks
from maskstack.batches import Batches
from maskstack.explainers.base import MapExplainer, MapOptions, Maps, gradient_expected
from maskstack.masks.grids import Upsampler
from maskstack.scoring import Model, ScoredModel
from maskstack.tensors import gaussian_blur

TEMPERATURE = 0.05
"""Temperature of the smooth maximum; 0 would be the maximum itself."""

SMALL = 1e-4
"""Gradients below this move a cell by less than a full step, so that rounding errors do not set the direction."""

FIRST_WEIGHT, LAST_WEIGHT = 3.0, 300.0
"""Weight of the area loss at the first step and at the last; it grows geometrically in between.

The unit is the fall of the score by the blur. With the low weight, the score selects the important cells; the high
weight then moves their values to zero or one.
"""

PARTED = 0.6
"""Share of the steps after which the target values are zeros and ones; before, they move there from a constant mask."""


class ExtremalPerturbation(MapExplainer):
    """For each area the mask that keeps the score highest, and the sum of these masks (Fong et al. 2019).

    Implemented from the paper. The mask is a max-convolution of a coarse grid with a smooth kernel. The area loss
    compares its sorted values with a template of zeros and then ones. The image is shown where the mask is open and
    the blurred image elsewhere, and the score is the logit. The following differs from the paper, because otherwise
    the search rarely finds the region that the network uses:

    - A mask of 0.5 shows the mean of image and blur. The paper blurs such a pixel half as strongly, so the constant
      mask at the start already hides everything: on a photograph of a porcupine, it kept 6% of the score, and its
      gradient had no useful direction. With the mean, it keeps the full score. Masks of 0 and 1 show the same as in
      the paper, but values in between hide less.
    - The template starts constant, with all values equal to the area, and moves gradually to zeros and ones. If it had
      zeros and ones from the start, a constant mask would open where the sorting puts equal values last, which is
      arbitrary. It would stay open there, because a maximum passes its gradient only to the highest value.
    - The score is a share of the fall caused by the blur, so that one area weight is suitable for all networks and
      objectives. The weight starts at a hundredth of its final value, and the optimiser is Adam instead of momentum.
    - Sorting and max-convolution are done on the coarse grid, which is then upsampled: the kernel is wider than a cell.

    Args:
        model: The network.
        areas: Shares of the image that the masks leave open.
        steps: Number of steps of the search.
        sigma: Standard deviation of the masks' kernel, as a share of the image's shorter side: 10 pixels of 224.
        blur: Standard deviation of the blur that closed masks show, as a share of the image's shorter side.
        cells: Cells of the coarse grid along the shorter side.
        learning_rate: Adam's learning rate.
        **options: See :class:`maskstack.explainers.base.MapExplainer`; the paper explains the logit.

    Raises:
        InputError: An option is out of range.
    """

    def __init__(
        self,
        model: Model,
        *,
        areas: Sequence[float] | float = (0.05, 0.1, 0.2, 0.4),
        steps: int = 800,
        sigma: float = 0.045,
        blur: float = 0.09,
        cells: int = 28,
        learning_rate: float = 0.05,
        **options: Unpack[MapOptions],
    ) -> None:
        areas = (areas,) if isinstance(areas, int | float) else tuple(areas)
        checks.whole("number of areas", len(areas), least=1)
        for area in areas:
            checks.share("areas", area)
        checks.whole("steps", steps, least=1)
        checks.whole("cells", cells, least=2)
        checks.share("sigma", sigma)
        checks.share("blur", blur)
        checks.share("learning_rate", learning_rate, one=True)
        settings = {
            "areas": list(areas),
            "steps": steps,
            "sigma": sigma,
            "blur": blur,
            "cells": cells,
            "learning_rate": learning_rate,
        }
        passes = len(areas) * steps
        super().__init__("extremal", model, settings, forward=passes + 2, backward=passes, meaning="logit", **options)
        self.areas, self.steps, self.sigma, self.blur = areas, steps, sigma, blur
        self.cells, self.learning_rate = cells, learning_rate

    def masks(self, scored: ScoredModel, images: Tensor) -> Tensor:
        """The mask of each area for each image: B x A x H x W in [0, 1]."""
        every = torch.arange(len(images))
        blurred = gaussian_blur(images, self.blur * min(images.shape[2:]))
        whole, none = (scored.scores(shown, every) for shown in (images, blurred))
        at_stake = (whole - none).abs().clamp_min(1e-6)
        problems = torch.arange(len(images) * len(self.areas))

        def learn(chunk: Tensor) -> Tensor:
            return self._learn(scored, images, blurred, at_stake, chunk)

        with gradient_expected():
            found = Batches(self.batch_size).run(problems, learn)
        return torch.cat(found).reshape(len(images), len(self.areas), *images.shape[2:])

    def _maps(self, scored: ScoredModel, images: Tensor) -> Maps:
        return Maps(self.masks(scored, images).mean(dim=1))

    def _learn(
        self, scored: ScoredModel, images: Tensor, blurred: Tensor, at_stake: Tensor, problems: Tensor
    ) -> Tensor:
        """Search the masks of some problems, P x H x W; problem ``A b + a`` is area a of image b."""
        rows, area = problems // len(self.areas), problems % len(self.areas)
        own = rows.to(images.device)
        # Channels last, the default format of the network's input: the mixture then has this format too.
        sharp, dull = (kind[own].contiguous(memory_format=torch.channels_last) for kind in (images, blurred))
        size = images.shape[2], images.shape[3]
        smooth = SmoothMasks(size, cells=self.cells, sigma=self.sigma, device=images.device)
        even = torch.tensor(self.areas, dtype=torch.float32)[area].unsqueeze(1).to(images.device)
        parted = torch.stack([_template(share, smooth.count) for share in self.areas])[area].to(images.device)
        scale = at_stake[rows.to(at_stake.device)]
        values = torch.full((len(problems), smooth.count), 0.5, device=images.device, requires_grad=True)
        optimiser = torch.optim.Adam([values], lr=self.learning_rate, eps=SMALL)
        for step in range(self.steps):
            coarse = smooth(values)
            wanted = torch.lerp(even, parted, min(1.0, step / (PARTED * self.steps)))
            missed = (coarse.sort(dim=1).values - wanted).square().mean(dim=1)
            weight = FIRST_WEIGHT * (LAST_WEIGHT / FIRST_WEIGHT) ** (step / self.steps)
            gained = scored(torch.lerp(dull, sharp, smooth.upsample(coarse).unsqueeze(1)), rows) / scale
            (values.grad,) = torch.autograd.grad([(weight * missed).sum(), -gained.sum()], [values])
            optimiser.step()
            with torch.no_grad():
                values.clamp_(0, 1)
        with torch.no_grad():
            return smooth.upsample(smooth(values))


class SmoothMasks:
    """Masks that are at least as smooth as a kernel: the max-convolution of the kernel with a coarse grid.

    ``m(u) = smax_v k(u - v) g(v)``, where ``smax`` weights each value f by ``exp(f / T)``. The kernel is 1 within a
    cell's width, and falls from there like a Gaussian, which is cut to 0 at 3 standard deviations. The grid's border is
    repeated outside the image, so that a constant grid gives a constant mask. Otherwise the corners would differ, and
    the area loss, which rewards the highest values, would open them independently of the network's output.

    Args:
        size: The image's height and width.
        cells: Number of cells of the grid along the shorter side; along the other one in proportion.
        sigma: The Gaussian's standard deviation as a share of the shorter side.
        device: Where to compute.
    """

    def __init__(self, size: tuple[int, int], *, cells: int, sigma: float, device: torch.device) -> None:
        short = min(size)
        cells = min(cells, short)
        self.grid = round(size[0] * cells / short), round(size[1] * cells / short)
        self.count = self.grid[0] * self.grid[1]
        spread = sigma * cells  # in cells
        self.reach = math.ceil(1 + 3 * spread)
        offsets = torch.arange(-self.reach, self.reach + 1, device=device, dtype=torch.float32)
        distance = torch.hypot(offsets.unsqueeze(1), offsets.unsqueeze(0))
        self.kernel = torch.exp(-((distance - 1).clamp_min(0) ** 2) / (2 * spread**2)).reshape(1, -1, 1)
        self.upsampler = Upsampler.build([self.grid], size, device)

    def __call__(self, values: Tensor) -> Tensor:
        """The smooth mask on the coarse grid: P x count of values P x count in [0, 1]."""
        grids = values.reshape(-1, 1, *self.grid)
        grids = functional.pad(grids, (self.reach,) * 4, mode="replicate")
        near = functional.unfold(grids, 2 * self.reach + 1) * self.kernel  # P neighbours count
        return ((near / TEMPERATURE).softmax(dim=1) * near).sum(dim=1)

    def upsample(self, coarse: Tensor) -> Tensor:
        """Masks of the image's size: P x H x W of P x count."""
        grids = coarse.reshape(-1, *self.grid)
        return self.upsampler(grids, torch.zeros(len(grids), dtype=torch.int64, device=grids.device)).clamp(0, 1)


def _template(share: float, count: int) -> Tensor:
    """Sorted values of a mask of this area: zeros, then ones."""
    wanted = torch.zeros(count)
    wanted[count - max(1, round(share * count)) :] = 1
    return wanted
