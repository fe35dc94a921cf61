"""Places of parts given as fractions of a picture whose size is not known yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from maskstack.datasets.annotated import Point
from maskstack.models import open_photo


@dataclass(frozen=True)
class FractionParts(Mapping[str, Point]):
    """Places in pixels, for which the picture is opened when the first is asked for.

    Attributes:
        path: The picture's file.
        fractions: Places as fractions of its width and height.
    """

    path: Path
    fractions: Mapping[str, Point]

    def __getitem__(self, part: str) -> Point:
        x, y = self.fractions[part]
        width, height = self._size
        return x * width, y * height

    def __iter__(self) -> Iterator[str]:
        return iter(self.fractions)

    def __len__(self) -> int:
        return len(self.fractions)

    @cached_property
    def _size(self) -> tuple[int, int]:
        return open_photo(self.path).size
