"""The problems of a batch: their grids, the masks made from the grids, and which problems are still open."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskstack.masks.grids import Upsampler, corner, pooled
from maskstack.masks.settings import SearchSettings
from maskstack.masks.stack import stack_masks

COARSE = 14
"""Cells along the longer side up to which a grid has the full learning rate."""


@dataclass
class Problems:
    """P independent problems over B images and K members, each with G grids: one per size (joint), or a single one.

    Attributes:
        image: Index of each problem's image, P.
        member: Index of each problem's member, P.
        size: Index of each grid's size, P x G.
        free: The free values behind the grids, P x G x h x w, padded to the largest size.
        settings: How to search.
        upsampler: Upsamples the grids to the image's size.
        mask_cap: Masks are multiplied by it, B x H x W in [0, 1]; None for 1.
        open: Which problems are still worked on, P.
        steps: Steps each problem has taken, P.
        failed: Problems that met a value that is not finite, P.
    """

    image: Tensor
    member: Tensor
    size: Tensor
    free: Tensor
    settings: SearchSettings
    upsampler: Upsampler
    mask_cap: Tensor | None = None
    open: Tensor = field(init=False)
    steps: Tensor = field(init=False)
    failed: Tensor = field(init=False)
    _recent: Tensor = field(init=False)
    _best: Tensor = field(init=False)
    _stale: Tensor = field(init=False)

    @classmethod
    def lay_out(
        cls,
        images: int,
        upsampler: Upsampler,
        settings: SearchSettings,
        *,
        start: Tensor | None = None,
        mask_cap: Tensor | None = None,
    ) -> Problems:
        """All problems of a batch: by image, then by member, then by size.

        Args:
            images: Number of images.
            upsampler: Has the grid sizes.
            settings: How to search.
            start: Masks to begin with, B x H x W in (0, 1); None for the settings' ``start`` everywhere.
            mask_cap: See the class.
        """
        device = upsampler.weights[0].device
        sizes = torch.arange(len(upsampler.sizes), device=device)
        image = torch.arange(images, device=device).repeat_interleave(settings.members)
        member = torch.arange(settings.members, device=device).repeat(images)
        if settings.joint:
            size = sizes.expand(len(image), -1)
        else:
            size = sizes.repeat(len(image)).unsqueeze(1)
            image, member = image.repeat_interleave(len(sizes)), member.repeat_interleave(len(sizes))
        first = torch.full((images, len(sizes), *upsampler.cells), settings.start, device=device, dtype=torch.float32)
        if start is not None:
            for index, size_of in enumerate(upsampler.sizes):
                first[:, index][corner(size_of)] = pooled(start, size_of)
        if settings.parametrisation == "sigmoid":
            first = first.logit()
        first = first.repeat_interleave(settings.members, dim=0)
        free = first.reshape(*size.shape, *upsampler.cells).clone()
        return cls(image, member, size, free, settings, upsampler, mask_cap)

    def __post_init__(self) -> None:
        count, device = len(self.image), self.free.device
        self.open = torch.ones(count, dtype=torch.bool, device=device)
        self.failed = torch.zeros(count, dtype=torch.bool, device=device)
        self.steps = torch.zeros(count, dtype=torch.long, device=device)
        # Fills alternate, and so do consistency and removal steps, so losses are only comparable over a whole turn.
        turn = len(self.settings.fill) * max(1, self.settings.removal_every)
        self._recent = torch.full((turn, count), torch.inf, device=device, dtype=torch.float32)
        self._best = torch.full((count,), torch.inf, device=device, dtype=torch.float32)
        self._stale = torch.zeros(count, dtype=torch.long, device=device)

    @property
    def cells(self) -> Tensor:
        """Which values of the padded grids are cells of theirs, P x G x h x w of zeros and ones."""
        within = self.free.new_zeros(len(self.upsampler.sizes), *self.upsampler.cells)
        for index, size in enumerate(self.upsampler.sizes):
            within[index][corner(size)] = 1
        return within[self.size]

    @property
    def rates(self) -> Tensor:
        """Learning rate of each grid, P x G x 1 x 1, float64 on the CPU: above :data:`COARSE` cells it falls."""
        finest = torch.tensor([max(size) for size in self.upsampler.sizes], dtype=torch.float64)
        slower = (COARSE / finest).clamp(max=1) ** self.settings.slow_fine
        rates = (self.settings.learning_rate * slower)[self.size.cpu()]
        return rates.reshape(*rates.shape, *[1] * (self.free.ndim - 2))

    def __len__(self) -> int:
        return len(self.image)

    def masks(self, free: Tensor, chunk: Tensor) -> Tensor:
        """The mask of each problem of a chunk, P x H x W: its upsampled grid, or the stack of them.

        Args:
            free: Free values of the chunk, P x G x h x w.
            chunk: Indices of its problems, P.
        """
        values = self._upsampled(free)
        if self.settings.joint:
            masks = self.upsampler.mean(values, log_odds=self._in_log_odds)
        else:
            masks = self.upsampler(values[:, 0], self.size[chunk, 0])
            masks = masks.sigmoid() if self._in_log_odds else masks
        return masks if self.mask_cap is None else masks * self.mask_cap[self.image[chunk]]

    def all_masks(self) -> Tensor:
        """The mask of each size of each image, the mean of its members', B x S x H x W."""
        sizes = []
        for masks in self.upsampler.each_size(self._per_size(self._upsampled(self.free))):
            masks = masks.sigmoid() if self._in_log_odds else masks.clamp(0, 1)  # rounding may leave the range
            sizes.append(self._by_member(masks).mean(dim=1))
        masks = torch.stack(sizes, dim=1)
        return masks if self.mask_cap is None else masks * self.mask_cap.unsqueeze(1)

    def member_stacks(self) -> Tensor:
        """The stacked masks of each member of each image, B x K x H x W."""
        values = self._per_size(self._upsampled(self.free))
        if self._in_log_odds:  # from the log-odds themselves, because masks may have been rounded to 0 and 1
            stacks = self.upsampler.mean(values, log_odds=True)
        else:
            masks = torch.stack(list(self.upsampler.each_size(values)), dim=1)
            stacks = stack_masks(masks.clamp(0, 1), self.settings.stack)
        stacks = self._by_member(stacks)
        return stacks if self.mask_cap is None else stacks * self.mask_cap.unsqueeze(1)

    def stack(self) -> Tensor:
        """The stacked masks of each image, the mean of its members', B x H x W."""
        return self.member_stacks().mean(dim=1)

    def grids(self) -> tuple[Tensor, ...]:
        """The grids' values, the mean of the members', one B x h x w tensor a size."""
        values = self._by_member(self._per_size(self._values(self.free))).mean(dim=1)
        return tuple(self.upsampler.crop(values[:, size], size).clone() for size in range(values.shape[1]))

    @property
    def loss(self) -> float:
        """Mean loss of all problems over their last turn, or over the steps so far if the first is not complete."""
        done = torch.isfinite(self._recent)
        return float(self._recent[done].mean()) if done.any() else float("nan")

    def record(self, working: Tensor, losses: Tensor, step: int) -> Tensor:
        """Record the losses of a step, and close the problems that failed or stopped improving.

        Args:
            working: Indices of the problems that were worked on.
            losses: Their losses; one that is not finite means that the problem failed.
            step: The step's number, from 0.

        Returns:
            The problems that this step moves, P: those worked on, but for the failed.
        """
        # Without a decision on the host, which would wait for the device.
        finite = torch.isfinite(losses)
        self.steps[working] += 1
        self.failed[working] |= ~finite
        self.open[working] &= finite
        self._recent[step % len(self._recent), working] = losses
        if self.settings.patience:
            mean = self._recent[:, working].mean(dim=0)
            better = mean < self._best[working] - self.settings.tolerance
            self._best[working] = torch.where(better, mean, self._best[working])
            self._stale[working] = torch.where(better | ~torch.isfinite(mean), 0, self._stale[working] + 1)
            self.open[working] &= self._stale[working] < self.settings.patience
        moving = torch.zeros_like(self.open)
        moving[working] = finite
        return moving

    def keep_in_range(self) -> None:
        """Clip the free values after a step, where the settings say so."""
        if self.settings.parametrisation == "clip":
            self.free.clamp_(0, 1)

    @property
    def _in_log_odds(self) -> bool:
        """Whether grids are upsampled, and stacked, as log-odds."""
        return self.settings.stack == "log_odds"

    def _values(self, free: Tensor) -> Tensor:
        """Grid values in [0, 1] from free values."""
        return free.sigmoid() if self.settings.parametrisation == "sigmoid" else free.clamp(0, 1)

    def _upsampled(self, free: Tensor) -> Tensor:
        """The values to upsample: the free values themselves as log-odds, or the grids' values."""
        return free if self._in_log_odds else self._values(free)

    def _per_size(self, values: Tensor) -> Tensor:
        """Values of all grids by image, member and size, (B K) x S x h x w, padded."""
        return values.reshape(-1, len(self.upsampler.sizes), *self.upsampler.cells)

    def _by_member(self, values: Tensor) -> Tensor:
        """What runs over images and members, (B K) x ..., as B x K x ...."""
        return values.reshape(-1, self.settings.members, *values.shape[1:])
