"""Types of a search: its score function, its progress reports and its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from maskstack.reliability.measure import BLANK
from maskstack.tensors import score_scale

Score = Callable[[Tensor, Tensor], Tensor]
"""Scores of a batch: (images P x C x H x W, index of each one's original image P) to P."""


@dataclass(frozen=True)
class Progress:
    """The state of a search after a step.

    A large batch is searched for in groups. The steps are those of all groups together. What belongs to images, B, and
    to their problems, P, is that of the group that is searched for at the time.

    Attributes:
        step: Steps done, from 1.
        steps: Steps at most.
        open: Problems still worked on.
        problems: Problems in all.
        loss: Mean loss over the last turn of fills and kinds of step, because single steps are not comparable.
        shown_score: The last score of what each problem's mask shows, P; NaN before there is one.
        hidden_score: The last score of what it hides, P; NaN if no step has scored it.
        preview: Makes the stack as it is now, B x H x W in [0, 1].
    """

    step: int
    steps: int
    open: int
    problems: int
    loss: float
    shown_score: Tensor
    hidden_score: Tensor
    preview: Callable[[], Tensor]


OnProgress = Callable[[Progress], bool | None]
"""Called after every step; a return of False ends the search with what was found."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found for a batch of B images and S sizes.

    Attributes:
        grids: The learned grids, one B x h x w tensor a size, values in [0, 1].
        masks: The grids upsampled, B x S x H x W.
        stack: The masks stacked, the mean over the members, B x H x W in [0, 1]; with ``keep``, scaled and opened.
        opening: What was added to the log-odds of each stack after the search, B; see :mod:`maskstack.masks.opening`.
        members: The masks stacked of each member, B x K x H x W.
        before: Score of each image, B.
        hidden: Score of each image's fills alone, B x F.
        under_masks: Score under each mask, B x S.
        under_stack: Score under the stack, B.
        steps: Steps that a member took, the most of any, B x S (the same for all sizes of a joint search).
        failed: Images whose search met a value that is not finite, B.
    """

    grids: tuple[Tensor, ...]
    masks: Tensor
    stack: Tensor
    opening: Tensor
    members: Tensor
    before: Tensor
    hidden: Tensor
    under_masks: Tensor
    under_stack: Tensor
    steps: Tensor
    failed: Tensor

    @classmethod
    def joined(cls, parts: Sequence[SearchResult]) -> SearchResult:
        """The result of all images, from those of parts of them."""
        values: dict[str, Any] = {
            field.name: torch.cat([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name != "grids"
        }
        grids = zip(*[part.grids for part in parts], strict=True)
        return cls(grids=tuple(torch.cat(each) for each in grids), **values)

    def problems(self, *, nothing: str = "", compares: bool = False) -> tuple[str | None, ...]:
        """For each image None, or the reason why its map cannot be used.

        Args:
            nothing: What a score of exactly zero means; empty if it means nothing special.
            compares: Whether the score compares two classes: then a single fill may score high by chance, and only all
                fills together are a reason.
        """
        scale = score_scale(self.before, self.hidden.T)
        losses = (self.before.unsqueeze(1) - self.hidden) / scale.unsqueeze(1)
        loss_hidden = losses.amax(dim=1) if compares else losses.amin(dim=1)
        loss_kept = (self.before - self.under_stack) / scale
        spread = self.stack.flatten(1).amax(dim=1) - self.stack.flatten(1).amin(dim=1)
        reasons: list[str | None] = []
        for row in range(len(self.before)):
            if self.failed[row]:
                reasons.append("the network's output became NaN or infinite during the search")
            elif nothing and self.before[row] == 0:
                reasons.append(nothing)
            elif loss_hidden[row] < 0.05:
                reasons.append(BLANK)
            elif spread[row] < 0.01:
                reasons.append("the mask is the same everywhere; the search found no region")
            elif loss_kept[row] > 0.5:
                reasons.append("the region found keeps less than half of the score; try the objective log_probability")
            else:
                reasons.append(None)
        return tuple(reasons)
