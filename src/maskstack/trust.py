"""How far a map can be trusted: what was measured of it, and what that means in words."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LOW = "low trust: "
"""How every reason below begins."""

LEAST_KEPT, MOST_LEFT, LEAST_FILL, LEAST_SIZES, LEAST_SEEDS, MOST_RANDOM = 0.2, 0.5, 0.2, 0.15, 0.5, 0.7
"""Beyond these trust is called low; our choice, from the table of ``docs/trust.md``."""


@dataclass(frozen=True, eq=False)
class Trust:
    """What was measured of the maps of B images. NaN is what was not measured, or has no meaning for an image.

    Scores are shares: 1 is the score of the whole image, 0 that of the fill alone. So an objective that is negative or
    unbounded has shares as well, and these may lie outside [0, 1]. The fill is the image's own colours in 4 x 4 cells,
    smoothed, which no search trains with. Where the fill alone scores as high as the image, shares have no meaning.

    Attributes:
        kept: Share that the region alone keeps: the most salient 30% of the pixels, cut out hard, on the fill; B.
        removed: Share that remains with this region replaced by the fill; B.
        fill: Share under the map itself, soft as it is, over the fill; B.
        sizes: Mean rank correlation of the masks of each two sizes; B.
        seeds: Rank correlation with the map of each further seed, on request; B x K, K = 0 where not asked for.
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
        """That of one image, as a batch of one."""
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
        said = {
            "kept": "region alone keeps {:z.0%}",
            "removed": "without it {:z.0%} remain",
            "fill": "another fill {:z.0%}",
            "sizes": "sizes agree {:z.2f}",
            "seeds": "seeds agree {:z.2f}",
            "randomization": "random network {:z.2f} alike",
        }
        parts = [text.format(numbers[name]) for name, text in said.items() if numbers[name] is not None]
        return ", ".join(parts) or "nothing could be measured"

    def doubts(self, row: int) -> list[str]:
        """Each reason to trust one image's map little, as a sentence; none is no proof that it is right."""
        found = self.numbers(row)
        kept, removed, fill = found["kept"], found["removed"], found["fill"]
        sizes, seeds, randomization = found["sizes"], found["seeds"], found["randomization"]
        reasons = []
        if kept is None:
            reasons.append("the score is as high without the image, so no region carries it")
        elif kept < LEAST_KEPT:
            reasons.append(f"the region alone keeps {kept:z.0%} of the score")
        if removed is not None and removed > MOST_LEFT:
            reasons.append(f"{removed:z.0%} of the score remain without the region")
        if fill is not None and fill < LEAST_FILL:
            reasons.append(f"over another fill the map keeps {fill:z.0%} of the score")
        if sizes is not None and sizes < LEAST_SIZES:
            reasons.append(f"the masks of the sizes disagree (rank correlation {sizes:z.2f})")
        if seeds is not None and seeds < LEAST_SEEDS:
            reasons.append(f"another seed gives another map (rank correlation {seeds:z.2f})")
        if randomization is not None and randomization > MOST_RANDOM:
            reasons.append(f"the map is nearly that of the network made random (rank correlation {randomization:z.2f})")
        return [LOW + reason for reason in reasons]
