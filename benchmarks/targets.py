"""The ten rows on which MDM has to be first or tied for first, from a report's ``summary.csv``, as Markdown.

    maskstack report RUN --out REPORT
    python -m benchmarks.targets REPORT/summary.csv [--reference mdm]

MDM is *first* on a row if no other method has a better mean. It is *tied* if no method with a better mean differs
significantly from it (Wilcoxon signed-rank test on the same images, p at least 0.05 after Holm's correction). Otherwise
it is *behind*.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskstack.leaderboard.columns import COLUMNS

TARGETS = {
    "insertion_wide": 1, "deletion_zero": -1, "deletion_mean": -1, "average_drop": -1, "average_increase": 1, "road": 1,
    "pointing_game": 1, "energy_pointing_game": 1, "max_box_acc": 1, "gini": 1,
}  # fmt: skip
"""The metrics and which values are better; the Gini index counts as a quality here, and sparser maps are better."""


@dataclass(frozen=True)
class Standing:
    """How the reference compares with the other methods on a metric.

    Attributes:
        own: Its mean.
        best: Name and mean of the best other method.
        ahead: How much better the reference is than that method, in the metric's units; negative if it is worse.
        where: ``first``, ``tied`` or ``behind``.
        by: Methods that are significantly better.
    """

    metric: str
    own: float
    best: tuple[str, float]
    ahead: float
    where: str
    by: tuple[str, ...]


def standings(rows: Sequence[dict[str, str]], reference: str, family: str) -> list[Standing]:
    """The reference on each metric, not compared with its own variants, whose names begin with ``family``."""
    found = []
    for metric, sign in TARGETS.items():
        cells = {row["method"]: row for row in rows if row["metric"] == metric and row["mean"]}
        others = {name: row for name, row in cells.items() if not name.startswith(family)}
        if reference not in cells or not others:
            continue
        own = float(cells[reference]["mean"])
        best = max(others, key=lambda name: sign * float(others[name]["mean"]))
        better = [name for name, row in others.items() if sign * (float(row["mean"]) - own) > 0]
        by = tuple(name for name in better if others[name]["p_holm"] and float(others[name]["p_holm"]) < 0.05)
        where = "behind" if by else "tied" if better else "first"
        mean = float(others[best]["mean"])
        found.append(Standing(metric, own, (best, mean), sign * (own - mean), where, by))
    return found


def table(rows: Sequence[dict[str, str]], reference: str) -> str:
    """One table for each network, and the number of rows on which the target is met."""
    parts = []
    for model in dict.fromkeys(row["model"] for row in rows):
        places = standings([row for row in rows if row["model"] == model], reference, reference.split("-")[0])
        head = f"| metric | {reference} | best other | ahead by | stands |"
        lines = [f"**{model}**", "", head, "|---|---|---|---|---|"]
        for place in places:
            column = COLUMNS[place.metric]
            stands = place.where + (f" {', '.join(place.by)}" if place.by else "")
            best = f"{place.best[0]} {place.best[1]:.3f}"
            lines.append(f"| {column.label} | {place.own:.3f} | {best} | {place.ahead:+.3f} | {stands} |")
        met = sum(place.where != "behind" for place in places)
        lines += ["", f"First or tied for first on {met} of {len(places)}."]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("summary", type=Path)
    parser.add_argument("--reference", default="mdm")
    arguments = parser.parse_args()
    with arguments.summary.open(newline="", encoding="utf-8") as file:
        print(table(list(csv.DictReader(file)), arguments.reference))


if __name__ == "__main__":
    main()
