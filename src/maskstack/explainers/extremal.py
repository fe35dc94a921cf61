"""Extremal perturbation: the smooth mask of a given area that keeps the score highest (Fong et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.explainers.attribute import Maps
from maskstack.explainers.rival import PREDICTIONS, Rival, check_share, check_whole, gradient_expected
from maskstack.explainers.scored import ScoredNetwork
from maskstack.explainers.subject import Model
from maskstack.masks.batches import Batches
from maskstack.masks.fills import gaussian_blur
from maskstack.masks.grids import Upsampler

BLUR_LEVELS = 10
"""Steps between the image and its strongest blur; in between, neighbours are mixed."""

TEMPERATURE = 0.05
"""Of the smooth maximum; 0 would be the maximum itself."""

FIRST_STEP = 0.1
"""How far the first step goes at most, of the values' range 0 to 1."""

AREA_WEIGHT, AREA_GROWTH = 1.0, 1000.0
"""Price of missing the area at the first step, and how much more it is at the last.

In units of the score that the blur takes away. The paper's 300, growing by 1.0035 each step, is for logits; once it has
made the mask zeros and ones no gradient of the score can change which are which, so here it begins low.
"""


class ExtremalPerturbation(Rival):
    """For each area the mask that keeps the score highest, and the sum of these masks (Fong et al. 2019).

    Written from the paper: the mask is a max-convolution of a coarse grid with a smooth kernel, its sorted values are
    held to so many zeros and then ones, and it chooses how strongly each pixel is blurred. Different here:

    - Sorting and max-convolution are done on the coarse grid, which is then upsampled: the kernel is wider than a cell.
    - The score counts as a share of what the strongest blur takes away, so that one price of the area fits all networks
      and objectives.
    - The first step goes up the score alone, the price of the area begins low, and the steps are Adam's. With the
      paper's price on an even mask the order of equal values, so nothing, chose the region. On 5 photos and SqueezeNet,
      60 steps, an area of 0.1 kept 0.26 of the score that way, 0.33 with the first step, 0.34 with the low price too.

    Args:
        model: The network.
        areas: Shares of the image that the masks leave open.
        steps: Steps of the search.
        sigma: Standard deviation of the masks' kernel, as a share of the image's shorter side: 10 pixels of 224.
        blur: Standard deviation of the strongest blur, as a share of the image's shorter side.
        cells: Cells of the coarse grid along the shorter side.
        learning_rate: Of Adam.
        objective: What a class index means; the paper's is the logit.
        batch_size: Images in one pass at most.
        class_names: For the result.

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
        learning_rate: float = 0.03,
        objective: str = "logit",
        batch_size: int = 32,
        class_names: Sequence[str] = (),
    ) -> None:
        areas = (areas,) if isinstance(areas, int | float) else tuple(areas)
        check_whole("number of areas", len(areas), least=1)
        for area in areas:
            check_share("areas", area)
        check_whole("steps", steps, least=1)
        check_whole("cells", cells, least=2)
        check_share("sigma", sigma)
        check_share("blur", blur)
        check_share("learning_rate", learning_rate, one=True)
        settings = {
            "areas": list(areas),
            "steps": steps,
            "sigma": sigma,
            "blur": blur,
            "cells": cells,
            "learning_rate": learning_rate,
        }
        super().__init__(
            "extremal", model, objective=objective, batch_size=batch_size, class_names=class_names, settings=settings
        )
        self.areas, self.steps, self.sigma, self.blur = areas, steps, sigma, blur
        self.cells, self.learning_rate = cells, learning_rate

    def cost(self, images: int, *, size: tuple[int, int] = (224, 224)) -> dict[str, int]:
        """Passes that so many images take."""
        del size
        passes = len(self.areas) * self.steps
        return {"forward": images * (passes + 2 + PREDICTIONS), "backward": images * passes}

    def masks(self, scored: ScoredNetwork, images: Tensor) -> Tensor:
        """The mask of each area for each image: B x A x H x W in [0, 1]."""
        every = torch.arange(len(images))
        blurred = gaussian_blur(images, self.blur * min(images.shape[2:]))
        whole, none = (scored.scores(shown, every, batch_size=self.batch_size) for shown in (images, blurred))
        at_stake = (whole - none).abs().clamp_min(1e-6)
        problems = torch.arange(len(images) * len(self.areas))
        with gradient_expected():
            found = Batches(self.batch_size).run(problems, lambda chunk: self._learn(scored, images, at_stake, chunk))
        return torch.cat(found).reshape(len(images), len(self.areas), *images.shape[2:])

    def _maps(self, scored: ScoredNetwork, images: Tensor) -> Maps:
        return Maps(self.masks(scored, images).mean(dim=1))

    def _learn(self, scored: ScoredNetwork, images: Tensor, at_stake: Tensor, problems: Tensor) -> Tensor:
        """Search the masks of some problems, P x H x W; problem ``A b + a`` is area a of image b."""
        rows, area = problems // len(self.areas), problems % len(self.areas)
        first = int(rows[0])  # problems come in order, so their images are neighbours
        own = (rows - first).to(images.device)
        height, width = images.shape[2:]
        smooth = SmoothMasks((height, width), cells=self.cells, sigma=self.sigma, device=images.device)
        blurs = BlurLevels(images[first : int(rows[-1]) + 1], sigma=self.blur * min(height, width))
        wanted = torch.stack([_template(share, smooth.count) for share in self.areas])[area].to(images.device)
        scale = at_stake[rows.to(at_stake.device)]

        def gained(coarse: Tensor) -> Tensor:
            scores: Tensor = scored(blurs(smooth.upsample(coarse), own), rows)
            return scores / scale

        values = torch.full((len(problems), smooth.count), 0.5, device=images.device, requires_grad=True)
        # All values are equal, and which of them are the highest, as the price of the area asks, is for the score to
        # say: the first step goes up the score alone.
        (uphill,) = torch.autograd.grad(gained(smooth(values)).sum(), [values])
        with torch.no_grad():
            values += FIRST_STEP * uphill / uphill.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
        optimiser = torch.optim.Adam([values], lr=self.learning_rate)
        for step in range(1, self.steps):
            coarse = smooth(values)
            missed = (coarse.sort(dim=1).values - wanted).square().mean(dim=1)
            price = AREA_WEIGHT * AREA_GROWTH ** (step / self.steps)
            (values.grad,) = torch.autograd.grad((price * missed - gained(coarse)).sum(), [values])
            optimiser.step()
            with torch.no_grad():
                values.clamp_(0, 1)
        with torch.no_grad():
            return smooth.upsample(smooth(values))


class SmoothMasks:
    """Masks that cannot be rougher than a kernel: its max-convolution with a coarse grid.

    ``m(u) = smax_v k(u - v) g(v)``, where ``smax`` weights each value f by ``exp(f / T)``, and the kernel is 1 within a
    cell's width and falls like a Gaussian from there, to nothing at 3 standard deviations. Beyond the image the grid's
    border is repeated, so that an even grid makes an even mask; otherwise the corners would stand out, and the area's
    price, which begins by picking the highest values, would open them whatever the network says.

    Args:
        size: The image's height and width.
        cells: Of the grid along the shorter side; along the other one in proportion.
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


class BlurLevels:
    """Images that are blurred pixel by pixel, as strongly as a mask is closed there.

    Args:
        images: B x C x H x W.
        sigma: Standard deviation of the strongest blur in pixels; the levels below are evenly spaced.
    """

    def __init__(self, images: Tensor, *, sigma: float) -> None:
        levels = [gaussian_blur(images, sigma * level / (BLUR_LEVELS - 1)) for level in range(BLUR_LEVELS)]
        self.batch, self.channels, self.height, self.width = images.shape
        # A pixel's channels side by side: looking up a pixel is one read, and the result is channels last.
        self.pixels = torch.stack(levels, dim=1).permute(0, 1, 3, 4, 2).reshape(-1, self.channels)

    def __call__(self, masks: Tensor, which: Tensor) -> Tensor:
        """The blurred images, P x C x H x W.

        Args:
            masks: P x H x W in [0, 1], 1 for the image as it is.
            which: Index of each mask's image, P.
        """
        height = (1 - masks) * (BLUR_LEVELS - 1)
        below = height.detach().floor().clamp_max(BLUR_LEVELS - 2)
        area = self.height * self.width
        place = torch.arange(area, device=masks.device).view(self.height, self.width)
        first = (which.view(-1, 1, 1) * BLUR_LEVELS + below.long()) * area + place
        low, high = (self.pixels[index] for index in (first, first + area))  # P H W C
        return torch.lerp(low, high, (height - below).unsqueeze(3)).permute(0, 3, 1, 2)


def _template(share: float, count: int) -> Tensor:
    """Sorted values of a mask of this area: zeros, then ones."""
    wanted = torch.zeros(count)
    wanted[count - max(1, round(share * count)) :] = 1
    return wanted
