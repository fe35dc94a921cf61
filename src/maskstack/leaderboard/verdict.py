"""Where the reference stands on a network, in counts and names."""

from __future__ import annotations

from dataclasses import dataclass

from maskstack.leaderboard.columns import Column
from maskstack.leaderboard.comparison import Comparison, is_control


@dataclass(frozen=True)
class Loss:
    """A metric on which another method is better than the reference, and by more than chance explains."""

    column: Column
    best: tuple[str, ...]
    best_mean: float
    mean: float
    rank: float
    of: int


@dataclass(frozen=True)
class Verdict:
    """On which metrics of quality the reference is first, tied or behind.

    Attributes:
        ahead: First, and told apart from every other method.
        first: First, but not told apart from some other.
        tied: Not first, or first together with another, and not told apart from the best.
        behind: All others.
        below_controls: Metrics on which a control, which knows nothing of the network, has the better mean.
        missing: Metrics that others have and the reference has not.
    """

    ahead: tuple[Column, ...]
    first: tuple[Column, ...]
    tied: tuple[Column, ...]
    behind: tuple[Loss, ...]
    below_controls: tuple[Column, ...]
    missing: tuple[Column, ...]

    @property
    def counted(self) -> int:
        """Metrics on which the reference stands anywhere."""
        return len(self.ahead) + len(self.first) + len(self.tied) + len(self.behind)


def judge(comparison: Comparison) -> Verdict:
    """Where the reference stands."""
    ahead: list[Column] = []
    first: list[Column] = []
    tied: list[Column] = []
    below: list[Column] = []
    missing: list[Column] = []
    behind: list[Loss] = []
    for column in comparison.counted:
        cells = comparison.cells[column.metric]
        own = cells.get(comparison.reference)
        if own is None:
            missing.append(column)
            continue
        rivals = [cell for method, cell in cells.items() if method != comparison.reference and not is_control(method)]
        if any(column.sign * cell.difference > 0 for method, cell in cells.items() if is_control(method)):
            below.append(column)
        best = comparison.best(column.metric)
        if best == (comparison.reference,):
            (ahead if rivals and all(cell.told_apart for cell in rivals) else first).append(column)
        elif own.first or own.tied:
            tied.append(column)
        else:
            behind.append(Loss(column, best, cells[best[0]].mean, own.mean, own.rank, len(rivals) + 1))
    return Verdict(tuple(ahead), tuple(first), tuple(tied), tuple(behind), tuple(below), tuple(missing))
