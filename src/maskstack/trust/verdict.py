"""How far a map can be trusted: what was measured, what it means in words, and why a search found nothing."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskstack.tensors import score_scale

LOW = "low trust: "
"""How every reason for low trust begins."""

BLANK = "a blank image scores as high, so no region explains the score"

LEAST_KEPT, MOST_LEFT, LEAST_FILL, LEAST_SIZES, LEAST_SEEDS, MOST_RANDOM = 0.2, 0.5, 0.2, 0.15, 0.5, 0.7
"""Trust is called low beyond these limits, which are our choice, from the table of ``docs/trust.md``."""


@dataclass(frozen=True, eq=False)
class Trust:
    """Measurements of the maps of B images. NaN means that a value was not measured, or is not defined.

    Scores are shares: 1 is the score of the whole image, 0 that of the fill alone. Shares are therefore also defined
    for negative or unbounded objectives, and may lie outside [0, 1]. The fill is the image's mean colours in 4 x 4
    cells, smoothed; no search uses it. If the fill alone scores as high as the image, shares are not defined.

    Attributes:
        kept: Share that the region alone keeps: the most salient 30% of the pixels, with a hard edge, on the fill; B.
        removed: Share that remains with this region replaced by the fill; B.
        fill: Share with the image masked by the soft map over the fill; B.
        sizes: Mean rank correlation of the masks of each pair of sizes; B.
        seeds: Rank correlation with the map of each further seed, on request; B x K, K = 0 if not requested.
        randomization: Rank correlation with the map of the same network with random parameters, on request; B. A map
            that stays the same does not show what the network has learned.
    """

    kept: Tensor
    removed: Tensor
    fill: Tensor
    sizes: Tensor
    seeds: Tensor
    randomization: Tensor

    def __len__(self) -> int:
        return len(self.kept)

    def select(self, row: int) -> Trust:
        """The trust in one image's map, as a batch of one."""
        return self._each(lambda values: values[row : row + 1])

    def to(self, device: torch.device) -> Trust:
        """The same on another device."""
        return self._each(lambda values: values.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def _each(self, change: Any) -> Trust:
        return Trust(**{name: change(values) for name, values in self.tensors().items()})

    def numbers(self, row: int) -> dict[str, float | None]:
        """One image's numbers, as JSON can hold them: the mean over the seeds, None for NaN."""
        found = {name: float(values[row].float().mean()) for name, values in self.tensors().items()}
        return {name: value if math.isfinite(value) else None for name, value in found.items()}

    def words(self, row: int) -> str:
        """One image's numbers in a line; what was not measured is left out."""
        numbers = self.numbers(row)
        phrases = {
            "kept": "the region alone keeps {:z.0%} of the score",
            "removed": "without it, {:z.0%} of the score remains",
            "fill": "over another fill the map keeps {:z.0%}",
            "sizes": "agreement of sizes {:z.2f}",
            "seeds": "agreement of seeds {:z.2f}",
            "randomization": "agreement with a randomised network {:z.2f}",
        }
        parts = [text.format(numbers[name]) for name, text in phrases.items() if numbers[name] is not None]
        return "; ".join(parts) or "nothing could be measured"

    def doubts(self, row: int) -> list[str]:
        """The reasons for low trust in one image's map, a sentence each; an empty list does not prove the map right."""
        found = self.numbers(row)
        kept, removed, fill = found["kept"], found["removed"], found["fill"]
        sizes, seeds, randomization = found["sizes"], found["seeds"], found["randomization"]
        reasons = []
        if kept is None:
            reasons.append(BLANK)
        elif kept < LEAST_KEPT:
            reasons.append(f"the region alone keeps {kept:z.0%} of the score")
        if removed is not None and removed > MOST_LEFT:
            reasons.append(f"{removed:z.0%} of the score remains without the region")
        if fill is not None and fill < LEAST_FILL:
            reasons.append(f"over another fill the map keeps {fill:z.0%} of the score")
        if sizes is not None and sizes < LEAST_SIZES:
            reasons.append(f"the masks of the sizes disagree (rank correlation {sizes:z.2f})")
        if seeds is not None and seeds < LEAST_SEEDS:
            reasons.append(f"another seed gives another map (rank correlation {seeds:z.2f})")
        if randomization is not None and randomization > MOST_RANDOM:
            alike = f"(rank correlation {randomization:z.2f})"
            reasons.append(f"a network with random weights gives nearly the same map {alike}")
        return [LOW + reason for reason in reasons]


def with_doubts(reasons: tuple[str | None, ...], found: Trust) -> tuple[str | None, ...]:
    """Each image's reason not to trust its map; if it is None, the first reason for low trust in ``found``."""
    return tuple(reason or next(iter(found.doubts(row)), None) for row, reason in enumerate(reasons))


def search_doubts(
    before: Tensor, hidden: Tensor, under_stack: Tensor, stack: Tensor, failed: Tensor, *, nothing: str = ""
) -> list[str | None]:
    """For each image of a search, None or the reason why its map should not be trusted.

    Args:
        before: Score of each image, B.
        hidden: Score of each fill alone, B x F.
        under_stack: Score under the stacked masks, B.
        stack: The stacked masks, B x H x W.
        failed: Whether the search met a value that is not finite, B.
        nothing: What a score of exactly zero means; empty if it means nothing special.
    """
    scale = score_scale(before, hidden.T)
    loss_hidden = ((before.unsqueeze(1) - hidden) / scale.unsqueeze(1)).amin(dim=1)
    loss_kept = (before - under_stack) / scale
    spread = stack.amax(dim=(1, 2)) - stack.amin(dim=(1, 2))
    reasons: list[str | None] = []
    for row in range(len(before)):
        if failed[row]:
            reasons.append("the network's output became NaN or infinite during the search")
        elif nothing and before[row] == 0:
            reasons.append(nothing)
        elif loss_hidden[row] < 0.05:
            reasons.append(BLANK)
        elif spread[row] < 0.01:
            reasons.append("the mask is the same everywhere; the search found no region")
        elif loss_kept[row] > 0.5:
            reasons.append("the region found keeps less than half of the score; try the objective log_probability")
        else:
            reasons.append(None)
    return reasons
