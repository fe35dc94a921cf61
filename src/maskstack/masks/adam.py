"""Adam with a damped second moment, and a learning rate for each grid size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maskstack.tensors import sent

BETAS = 0.9, 0.999
EPSILON = 1e-8


class DampedAdam:
    """Adam (Kingma and Ba 2015) on grids.

    Adam divides each cell's step by the size of that cell's own gradient, so a cell that hardly matters moves as far as
    one that decides. Damping mixes in the mean over the grid, so that cells of small gradient move less.

    Args:
        free: The free values, P x G x h x w (or with other spatial dimensions), padded; they are changed in place.
        cells: Which of them belong to each grid, P x G x h x w of zeros and ones, or broadcasting to it.
        rates: Learning rate of each grid, float64 on the CPU, broadcasting to the free values.
        damping: Weight of the grid's mean second moment beside a cell's own; 0 is Adam itself.
    """

    def __init__(self, free: Tensor, cells: Tensor, rates: Tensor, *, damping: float) -> None:
        self.free, self.cells, self.damping = free, cells, damping
        self.rates = rates.expand(free.shape).flatten(2)[..., 0]  # P G
        kept = cells.expand_as(free).flatten(1) != 0
        # Where all problems have the same grids, only their cells are kept and moved, without the padding.
        alike = len(free) > 0 and bool((kept == kept[0]).all())
        self.places = kept[0].nonzero().flatten() if alike else None
        packed = self.packed(free)
        self.first, self.second = torch.zeros_like(packed), torch.zeros_like(packed)
        whole = cells.expand_as(free).flatten(2)
        self.counts = whole.sum(dim=2)[0].long().tolist() if alike else [whole.shape[2]] * whole.shape[1]
        self.steps = 0

    @torch.no_grad()
    def step(self, slope: Tensor, moving: Tensor | None = None) -> None:
        """Move the free values against their gradient.

        Args:
            slope: The gradient as :meth:`packed` gives it, P x N.
            moving: Which problems are moved, P; None for all.
        """
        self.steps += 1
        self.first.lerp_(slope, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
        second = self.second
        if self.damping:
            means = self._spread(self._means(second))
            second = means.mul_(self.damping).add_(second).div_(1 + self.damping)
        # In the order of torch.optim.Adam, so that without damping the two agree to the last bit.
        size = (second.sqrt() / math.sqrt(1 - BETAS[1] ** self.steps)).add_(EPSILON)
        rates = self._spread(sent((self.rates / (1 - BETAS[0] ** self.steps)).to(self.free.dtype), self.free.device))
        step = rates.neg_().mul_(self.first).div_(size)
        if moving is not None:  # filled, not multiplied, because a step may not be finite
            step.masked_fill_(~moving.unsqueeze(1), 0)
        if self.places is None:
            self.free += step.view_as(self.free)
        else:
            self.free.view(len(self.free), -1).index_add_(1, self.places, step)

    def packed(self, values: Tensor) -> Tensor:
        """Values of the cells of some problems without the padding, P x N, from P x G x h x w.

        The padding is kept where the problems have different grids.
        """
        values = values.flatten(1)
        return values if self.places is None else values.index_select(1, self.places)

    def _means(self, values: Tensor) -> Tensor:
        """Mean over the cells of each grid, P x G."""
        if self.places is None:
            whole = self.cells.expand_as(self.free).flatten(2)
            return (values.view(whole.shape) * whole).sum(dim=2) / whole.sum(dim=2)
        return torch.stack([part.mean(dim=1) for part in torch.split(values, self.counts, dim=1)], dim=1)

    def _spread(self, values: Tensor) -> Tensor:
        """A value of each grid, P x G, for each of its cells."""
        return torch.cat(
            [values[:, grid : grid + 1].expand(-1, count) for grid, count in enumerate(self.counts)], dim=1
        )
