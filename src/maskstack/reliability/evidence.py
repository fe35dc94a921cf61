"""What was found beside a map and checked by doing it: several regions that suffice, and what changes the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from maskstack.tensors import json_numbers


@dataclass(frozen=True, eq=False)
class _OfImages:
    """Tensors of B images, by field."""

    def __len__(self) -> int:
        return len(next(iter(self.tensors().values())))

    def select(self, row: int) -> Self:
        """Those of one image, as a batch of one."""
        return self._each(lambda values: values[row : row + 1])

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return self._each(lambda values: values.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        changes: dict[str, Any] = {name: change(values) for name, values in self.tensors().items()}
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Regions(_OfImages):
    """Regions of B images, each of which suffices by itself. No pixel belongs to two of them.

    Scores are shares: 1 is the score of the whole image, 0 that of the fill alone. Everything outside of a region is
    replaced, once by each fill of :mod:`maskstack.reliability.fills`; the lower score counts.

    Attributes:
        masks: The regions in the order in which they were found, B x K x H x W booleans; empty where there are fewer.
        kept: Share of the score that each keeps alone, B x K; NaN where there is no region.
        remaining: Share of the score that remains with all of them hidden, B; the higher of both fills.
        maps: The map that each was cut from, B x K x H x W in [0, 1].
    """

    masks: Tensor
    kept: Tensor
    remaining: Tensor
    maps: Tensor

    @property
    def area(self) -> Tensor:
        """Share of the image that each region covers, B x K."""
        return self.masks.flatten(2).float().mean(dim=2)

    @property
    def count(self) -> Tensor:
        """Number of regions of each image, B."""
        return self.kept.isfinite().sum(dim=1)

    def as_dict(self, row: int) -> dict[str, Any]:
        """One image's numbers, as JSON can hold them."""
        found = zip(self.area[row].tolist(), self.kept[row].tolist(), strict=True)
        regions = [{"area": area, "kept": kept} for area, kept in found if kept == kept]
        return {"regions": regions, "remaining": json_numbers(self.remaining[row])}


@dataclass(frozen=True, eq=False)
class Contrast(_OfImages):
    """What would change the answer A of B images into B, and what speaks for A but not for B.

    Probabilities are those of the network with pixels replaced by the colours around them.

    Attributes:
        target: Class A of each image, B.
        against: Class B of each image, B.
        before: Probabilities of A and of B in the image, B x 2.
        hiding: The smallest region found whose hiding makes B the first class, or else another class than A; B x H x W
            booleans, empty where there is none.
        hidden: Probabilities of A and of B with that region hidden, B x 2.
        first: The first class with that region hidden, B.
        speaking: The smallest region found that, shown alone, keeps A before B; B x H x W booleans, empty where none.
        shown: Probabilities of A and of B with that region shown alone, B x 2.
    """

    target: Tensor
    against: Tensor
    before: Tensor
    hiding: Tensor
    hidden: Tensor
    first: Tensor
    speaking: Tensor
    shown: Tensor

    @property
    def turned(self) -> Tensor:
        """Whether hiding the region makes B the first class, B."""
        return self.first == self.against

    def as_dict(self, row: int) -> dict[str, Any]:
        """One image's numbers, as JSON can hold them."""
        names = {name: json_numbers(values[row]) for name, values in self.tensors().items() if values[row].ndim < 2}
        areas = {f"{name}_area": float(getattr(self, name)[row].float().mean()) for name in ("hiding", "speaking")}
        return {**names, **areas, "turned": bool(self.turned[row])}
