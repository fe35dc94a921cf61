"""What a search asks for, reports and finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Score = Callable[[Tensor, Tensor], Tensor]
"""Activations of a batch: (images P x C x H x W, index of each one's original image P) to P."""


@dataclass(frozen=True)
class Progress:
    """Where a search stands after a step.

    Attributes:
        step: Steps done, from 1.
        steps: Steps at most.
        open: Problems still worked on.
        problems: Problems in all.
        loss: Mean loss over the last turn of fills and kinds of step, as single steps are not alike.
        kept: The activation of what each problem's mask shows, as it was last asked for; NaN before.
        left: The activation of what it hides, as it was last asked for; NaN before, or where it is never asked for.
        preview: Makes the stack as it is now, B x H x W in [0, 1].
    """

    step: int
    steps: int
    open: int
    problems: int
    loss: float
    kept: Tensor
    left: Tensor
    preview: Callable[[], Tensor]


OnProgress = Callable[[Progress], bool | None]
"""Called after every step; a return of False ends the search with what was found."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found for a batch of B images and S sizes.

    Attributes:
        grids: The learned grids, one B x h x w tensor a size, values in [0, 1].
        masks: The grids upsampled, B x S x H x W.
        stack: The masks stacked, B x H x W in [0, 1], not scaled.
        before: Activation of each image, B.
        hidden: Activation of each image's fills alone, F x B.
        under_masks: Activation under each mask, B x S.
        under_stack: Activation under the stack, B.
        steps: Steps taken, B x S (the same for all sizes of a joint search).
        forward_passes: Images sent forward, for each original image, B.
        backward_passes: Images sent backward, B.
        failed: Images whose search met a value that is not finite, B.
        seconds: Wall time of the whole search.
    """

    grids: tuple[Tensor, ...]
    masks: Tensor
    stack: Tensor
    before: Tensor
    hidden: Tensor
    under_masks: Tensor
    under_stack: Tensor
    steps: Tensor
    forward_passes: Tensor
    backward_passes: Tensor
    failed: Tensor
    seconds: float
