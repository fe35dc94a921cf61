"""How far a map can be trusted: the measurements, and the verdict that follows from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskstack.reliability.verdict import Numbers, Verdict, verdict


@dataclass(frozen=True, eq=False)
class Trust:
    """Measurements of the maps of B images. NaN means that a value was not measured, or is not defined.

    Scores are shares: 1 is the score of the whole image, 0 that of the fill alone. Shares are therefore also defined
    for negative or unbounded objectives, and may lie outside [0, 1]. If a fill alone scores as high as the image, its
    shares are not defined. Two fills are used, neither of which any search uses. Column 0 is the region, which is the
    most salient 45% of the pixels with a hard edge, over the image's mean colours in 4 x 4 cells. Column 1 is the map
    itself as a mask, over the colours of what it shows, spread over what it hides.

    Attributes:
        kept: Share of the score that the region or the map alone keeps, B x 2.
        remaining: Share that remains with the region or the map hidden, B x 2.
        agreement: Mean rank correlation of the maps of each two members of a committee, B.
        probability: Probability of the class that is explained, B; NaN if the objective is not about a class.
        seeds: Rank correlation with the map of each further seed, on request; B x K, K = 0 if not requested.
        randomization: Rank correlation with the map of the same network with random parameters, on request; B. A map
            that stays the same does not show what the network has learned.
        problems: For each image None, or what went wrong, so that the map cannot be used.
    """

    kept: Tensor
    remaining: Tensor
    agreement: Tensor
    probability: Tensor
    seeds: Tensor
    randomization: Tensor
    problems: tuple[str | None, ...]

    @classmethod
    def not_measured(cls, problems: tuple[str | None, ...]) -> Trust:
        """The trust in maps of which nothing was measured, and what went wrong with each, if anything."""
        missing = torch.full((len(problems),), torch.nan)
        pairs = missing.unsqueeze(1).repeat(1, 2)
        return cls(pairs, pairs, missing, missing, missing.new_empty(len(problems), 0), missing, problems)

    @classmethod
    def joined(cls, parts: Sequence[Trust]) -> Trust:
        """The trust in the maps of all images, from that of parts of them."""
        values: dict[str, Any] = {
            name: torch.cat([part.tensors()[name] for part in parts]) for name in parts[0].tensors()
        }
        return cls(problems=tuple(problem for part in parts for problem in part.problems), **values)

    def __len__(self) -> int:
        return len(self.kept)

    def select(self, row: int) -> Trust:
        """The trust in one image's map, as a batch of one."""
        one = slice(row, row + 1)
        return dataclasses.replace(self._each(lambda values: values[one]), problems=self.problems[one])

    def to(self, device: torch.device) -> Trust:
        """The same on another device."""
        return self._each(lambda values: values.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """The measurements by name."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "problems"]
        return {name: getattr(self, name) for name in names}

    def _each(self, change: Callable[[Tensor], Tensor]) -> Trust:
        changes: Mapping[str, Any] = {name: change(values) for name, values in self.tensors().items()}
        return dataclasses.replace(self, **changes)

    def numbers(self, row: int) -> Numbers:
        """One image's measurements, with the mean over the seeds; None for NaN."""
        found = {
            "region_kept": self.kept[row, 0],
            "region_remaining": self.remaining[row, 0],
            "map_kept": self.kept[row, 1],
            "map_remaining": self.remaining[row, 1],
            "agreement": self.agreement[row],
            "probability": self.probability[row],
            "seeds": self.seeds[row].float().mean(),
            "randomization": self.randomization[row],
        }
        return Numbers(**{name: float(value) if torch.isfinite(value) else None for name, value in found.items()})

    def verdict(self, row: int) -> Verdict:
        """The verdict on one image's map."""
        return verdict(self.numbers(row), self.problems[row])

    def as_dict(self, row: int) -> dict[str, Any]:
        """The verdict on one image's map and its measurements, as JSON can hold them."""
        found = self.verdict(row)
        verdict = {"word": found.word, "sentence": found.sentence, "reasons": list(found.reasons)}
        return {**verdict, **dataclasses.asdict(self.numbers(row))}
