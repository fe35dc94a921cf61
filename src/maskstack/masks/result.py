"""Types of a search: its score function, its progress reports and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Score = Callable[[Tensor, Tensor], Tensor]
"""Scores of a batch: (images P x C x H x W, index of each one's original image P) to P."""


@dataclass(frozen=True)
class Progress:
    """The state of a search after a step.

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
