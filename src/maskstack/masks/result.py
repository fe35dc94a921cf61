"""Types of a search: its score function, its progress reports and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from maskstack.reliability.measure import BLANK
from maskstack.tensors import score_scale

BLANK_FILLS = ("zero", "mean")
"""Fills of a single colour."""

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
        members: The masks stacked of each member, as means over at most 56 x 56 cells, B x K x h x w.
        spread: Standard deviation of the members' stacked masks, B x H x W.
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
    spread: Tensor
    before: Tensor
    hidden: Tensor
    under_masks: Tensor
    under_stack: Tensor
    steps: Tensor
    failed: Tensor

    @classmethod
    def gathered(cls, parts: Iterable[SearchResult], count: int) -> SearchResult:
        """The result of so many images, from those of groups; each group's is let go before the next one is made."""
        whole: SearchResult | None = None
        done = 0
        for part in parts:
            if len(part) == count:
                return part
            if whole is None:
                whole = part._with(lambda values: values.new_empty(count, *values.shape[1:]))
            for values, into in zip(part._tensors(), whole._tensors(), strict=True):
                into[done : done + len(part)] = values
            done += len(part)
            del part, values  # the loop would hold them while it asks for the next
        assert whole is not None  # there is at least one image
        return whole

    def __len__(self) -> int:
        return len(self.before)

    def _tensors(self) -> list[Tensor]:
        others = (getattr(self, field.name) for field in fields(self) if field.name != "grids")
        return [*self.grids, *others]

    def _with(self, change: Callable[[Tensor], Tensor]) -> SearchResult:
        """The same with each tensor changed."""
        others = {field.name: change(getattr(self, field.name)) for field in fields(self) if field.name != "grids"}
        return replace(self, grids=tuple(map(change, self.grids)), **others)

    def problems(
        self, fills: Sequence[str], *, nothing: str = "", compares: bool = False, probability: bool = False
    ) -> tuple[str | None, ...]:
        """For each image None, or the reason why its map cannot be used.

        Args:
            fills: Names of the fills, in the order of ``hidden``. A fill of one colour that scores as high as the image
                is a reason; a blurred image or noise may still show what the score depends on, such as a large smooth
                object, so these are a reason only where every fill scores as high.
            nothing: What a score of exactly zero means; empty if it means nothing special.
            compares: Whether the score compares two classes: then a single fill may score high by chance, and only all
                fills together are a reason.
            probability: Whether the score is a class's probability, whose logarithm may succeed where it fails.
        """
        scale = score_scale(self.before, self.hidden.T)
        losses = (self.before.unsqueeze(1) - self.hidden) / scale.unsqueeze(1)
        blank = [column for column, name in enumerate(fills) if name in BLANK_FILLS]
        loss_hidden = losses[:, blank].amin(dim=1) if blank and not compares else losses.amax(dim=1)
        loss_kept = (self.before - self.under_stack) / scale
        spread = self.stack.flatten(1).amax(dim=1) - self.stack.flatten(1).amin(dim=1)
        reasons: list[str | None] = []
        for row in range(len(self.before)):
            if self.failed[row]:
                reasons.append(_not_finite(fills, self.hidden[row]))
            elif nothing and self.before[row] == 0:
                reasons.append(nothing)
            elif loss_hidden[row] < 0.05:
                reasons.append(
                    BLANK if blank else f"with {' and '.join(fills)} instead of the image, the score is as high"
                )
            elif spread[row] < 0.01:
                reasons.append("the mask is the same everywhere; the search found no region")
            elif loss_kept[row] > 0.5:
                advice = "; try the objective log_probability" if probability else ""
                reasons.append(f"over the search's own fills, the map keeps less than half of the score{advice}")
            else:
                reasons.append(None)
        return tuple(reasons)


def _not_finite(fills: Sequence[str], scores: Tensor) -> str:
    """Why a search met a value that is not finite; where fills alone give one, their names and what to do.

    Args:
        fills: Names of the fills.
        scores: Score of each of them, F.
    """
    said = "the network's output became NaN or infinite during the search"
    finite = torch.isfinite(scores).tolist()
    wrong = [name for name, fine in zip(fills, finite, strict=True) if not fine]
    if not wrong:
        return said
    others = [name for name, fine in zip(fills, finite, strict=True) if fine and name not in BLANK_FILLS] or ["noise"]
    return (
        f"{said}, as it is for the fill {' and '.join(wrong)} alone (some networks divide by the image's standard "
        f"deviation); set the fill to {' and '.join(others)}"
    )
