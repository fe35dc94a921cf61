"""The search problems of a batch: their grids, and which of them are still open."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.masks.grids import Upsampler
from maskstack.masks.settings import SearchSettings


@dataclass
class Problems:
    """P independent problems over B images, each with G grids: one per size (joint), or a single one.

    Attributes:
        image: Index of each problem's image, P.
        size: Index of each grid's size, P x G.
        free: The free values behind the grids, P x G x h x w, padded to the largest size.
        open: Which problems are still worked on, P.
        steps: Steps each problem has taken, P.
        failed: Problems that met a value that is not finite, P.
    """

    image: Tensor
    size: Tensor
    free: Tensor
    settings: SearchSettings
    open: Tensor = field(init=False)
    steps: Tensor = field(init=False)
    failed: Tensor = field(init=False)
    _recent: Tensor = field(init=False)
    _best: Tensor = field(init=False)
    _stale: Tensor = field(init=False)

    @classmethod
    def lay_out(
        cls, images: int, upsampler: Upsampler, settings: SearchSettings, *, start: Tensor | None = None
    ) -> Problems:
        """All problems of a batch, images first, then sizes.

        Args:
            images: Number of images.
            upsampler: Has the grid sizes.
            settings: How to search.
            start: Masks to begin with, B x H x W in (0, 1); None for the settings' ``start`` everywhere.
        """
        device = upsampler.rows.device
        sizes = torch.arange(len(upsampler.sizes), device=device)
        image = torch.arange(images, device=device)
        if settings.joint:
            size = sizes.expand(images, -1)
        else:
            image = image.repeat_interleave(len(sizes))
            size = sizes.repeat(images).unsqueeze(1)
        first = torch.full((images, len(sizes), *upsampler.cells), settings.start, device=device, dtype=torch.float32)
        if start is not None:
            for index, (h, w) in enumerate(upsampler.sizes):
                first[:, index, :h, :w] = functional.adaptive_avg_pool2d(start, (h, w))
        if settings.parametrisation == "sigmoid":
            first = first.logit()
        return cls(image, size, first.reshape(*size.shape, *upsampler.cells).clone(), settings)

    def __post_init__(self) -> None:
        count, device = len(self.image), self.free.device
        self.open = torch.ones(count, dtype=torch.bool, device=device)
        self.failed = torch.zeros(count, dtype=torch.bool, device=device)
        self.steps = torch.zeros(count, dtype=torch.long, device=device)
        # Fills take turns, and so do keeping and removing, so a step's loss is only comparable over a whole turn.
        turn = len(self.settings.fill) * max(1, self.settings.removal_every)
        self._recent = torch.full((turn, count), torch.inf, device=device, dtype=torch.float32)
        self._best = torch.full((count,), torch.inf, device=device, dtype=torch.float32)
        self._stale = torch.zeros(count, dtype=torch.long, device=device)

    def values(self, free: Tensor) -> Tensor:
        """Grid values in [0, 1] from free values."""
        return free.sigmoid() if self.settings.parametrisation == "sigmoid" else free.clamp(0, 1)

    @property
    def in_log_odds(self) -> bool:
        """Whether grids are upsampled, and stacked, as log-odds."""
        return self.settings.stack == "log_odds"

    def upsampled(self, free: Tensor) -> Tensor:
        """What is upsampled of free values: their log-odds as they are, or the grids' values."""
        return free if self.in_log_odds else self.values(free)

    @property
    def loss(self) -> float:
        """Mean loss of all problems over their last turn, or over what they have done of the first."""
        done = torch.isfinite(self._recent)
        return float(self._recent[done].mean()) if done.any() else float("nan")

    def hold(self) -> None:
        """Bring free values back into their range after an optimiser's step."""
        if self.settings.parametrisation == "clip":
            self.free.clamp_(0, 1)

    def record(self, working: Tensor, losses: Tensor, step: int) -> None:
        """Take in the losses of one step, and close what has failed or stopped improving.

        Args:
            working: Indices of the problems that were worked on.
            losses: Their losses.
            step: The step's number, from 0.
        """
        self.steps[working] += 1
        bad = working[~torch.isfinite(losses)]
        self.failed[bad] = True
        self.open[bad] = False
        self._recent[step % len(self._recent), working] = losses
        if self.settings.patience == 0:
            return
        mean = self._recent[:, working].mean(dim=0)
        better = mean < self._best[working] - self.settings.tolerance
        self._best[working] = torch.where(better, mean, self._best[working])
        self._stale[working] = torch.where(better | ~torch.isfinite(mean), 0, self._stale[working] + 1)
        self.open[working] &= self._stale[working] < self.settings.patience
