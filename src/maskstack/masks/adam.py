"""Adam with a damped second moment, and a learning rate for each grid size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
        self.free, self.cells, self.rates, self.damping = free, cells, rates, damping
        self.first, self.second = torch.zeros_like(free), torch.zeros_like(free)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Move the free values against the gradient."""
        self.steps += 1
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        second = self.second
        if self.damping:
            grid = tuple(range(2, self.free.ndim))
            count = self.cells.sum(dim=grid, keepdim=True)
            mean = (second * self.cells).sum(dim=grid, keepdim=True) / count
            second = (second + self.damping * mean) / (1 + self.damping)
        # In the order of torch.optim.Adam, so that without damping the two agree to the last bit.
        size = (second.sqrt() / math.sqrt(1 - BETAS[1] ** self.steps)).add_(EPSILON)
        rates = (self.rates / (1 - BETAS[0] ** self.steps)).to(self.free)
        self.free += -rates * self.first / size
