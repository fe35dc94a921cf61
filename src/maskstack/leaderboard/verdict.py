"""How the reference compares with all other methods on a network: on which metrics it is first, tied or behind."""

from __future__ import annotations

from dataclasses import dataclass

from maskstack.leaderboard.columns import Column
from maskstack.leaderboard.comparison import Comparison, is_control

FEWEST = 6
"""Least number of images with which Wilcoxon's signed-rank test can be significant at all: 2 / 2^6 is below 0.05."""


@dataclass(frozen=True)
class BehindOn:
    """A metric on which another method is significantly better than the reference."""

    column: Column
    best: tuple[str, ...]
    best_mean: float
    mean: float
    rank: float
    of: int


@dataclass(frozen=True)
class Verdict:
    """The metrics of quality on which the reference is first, tied or behind.

    Attributes:
        ahead: First, and significantly better than every other method.
        first: First, but not significantly better than some other method.
        tied: Not significantly worse than the best, but not first alone.
        behind: All others.
        below_controls: Metrics on which a control has a better mean.
        missing: Metrics that other methods have and the reference does not.
        images: Largest number of images on which a metric compares the reference with another method.
    """

    ahead: tuple[Column, ...]
    first: tuple[Column, ...]
    tied: tuple[Column, ...]
    behind: tuple[BehindOn, ...]
    below_controls: tuple[Column, ...]
    missing: tuple[Column, ...]
    images: int

    @property
    def empty(self) -> bool:
        """Whether no metric of quality was measured."""
        return not self.counted and not self.missing

    @property
    def too_few(self) -> bool:
        """Whether metrics of quality have too few images for any significant difference."""
        return not self.empty and self.images < FEWEST

    @property
    def counted(self) -> int:
        """Number of metrics that the reference has."""
        return len(self.ahead) + len(self.first) + len(self.tied) + len(self.behind)


def judge(comparison: Comparison) -> Verdict:
    """Compare the reference with all other methods."""
    ahead: list[Column] = []
    first: list[Column] = []
    tied: list[Column] = []
    below: list[Column] = []
    missing: list[Column] = []
    behind: list[BehindOn] = []
    for column in comparison.counted:
        cells = comparison.cells[column.metric]
        own = cells.get(comparison.reference)
        if own is None:
            missing.append(column)
            continue
        others = [cell for method, cell in cells.items() if method != comparison.reference and not is_control(method)]
        if any(column.sign * cell.difference > 0 for method, cell in cells.items() if is_control(method)):
            below.append(column)
        best = comparison.best(column.metric)
        if best == (comparison.reference,):
            (ahead if others and all(cell.told_apart for cell in others) else first).append(column)
        elif own.first or own.tied:
            tied.append(column)
        else:
            behind.append(BehindOn(column, best, cells[best[0]].mean, own.mean, own.rank, len(others) + 1))
    found = (tuple(ahead), tuple(first), tuple(tied), tuple(behind), tuple(below), tuple(missing))
    return Verdict(*found, images=comparison.shared)
