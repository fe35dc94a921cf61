"""The tables of ``docs/results.md``: a report's ``summary.csv`` as Markdown.

    maskstack report RUN --out REPORT
    python -m benchmarks.markdown REPORT/summary.csv [--metrics insertion_wide,deletion_zero ...]

Cells are means ± half the width of the 95% bootstrap interval over images. The best value of a column is bold. ▼ marks
values that are significantly worse than the reference in the paired test, ▲ values that are significantly better
(p below 0.05, Holm-corrected).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from maskstack.leaderboard.columns import COLUMNS

SHOWN = (
    "insertion_wide", "insertion_narrow", "deletion_zero", "deletion_mean", "deletion_blur", "average_drop",
    "average_increase", "road", "pointing_game", "energy_pointing_game", "max_box_acc", "gini",
)  # fmt: skip


def tables(rows: Sequence[dict[str, str]], metrics: Sequence[str]) -> str:
    """One table for each network."""
    parts = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        there = [metric for metric in metrics if any(row["metric"] == metric for row in own)]
        heads = [f"{COLUMNS[metric].label} {COLUMNS[metric].arrow}" for metric in there]
        lines = [f"**{model}**", "", "| method | n | " + " | ".join(heads) + " | passes |"]
        lines.append("|---" * (len(there) + 3) + "|")
        for method in dict.fromkeys(row["method"] for row in own):
            cells = {row["metric"]: row for row in own if row["method"] == method}
            some = next(iter(cells.values()))
            passes = float(some["forward"]) + float(some["backward"])
            filled = " | ".join(_cell(cells.get(metric)) for metric in there)
            lines.append(f"| {method} | {some['n']} | {filled} | {passes:.0f} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _cell(row: dict[str, str] | None) -> str:
    if row is None or not row["mean"]:
        return "–"
    mean, half = float(row["mean"]), (float(row["high"]) - float(row["low"])) / 2
    text = f"{mean:.3f} ±{half:.3f}"
    if row["p_holm"] and float(row["p_holm"]) < 0.05 and row["difference"]:
        change = float(row["difference"]) * COLUMNS[row["metric"]].sign
        text += " ▲" if change > 0 else " ▼" if change < 0 else ""
    return f"**{text}**" if row["rank"] and float(row["rank"]) == 1 else text


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("summary", type=Path)
    parser.add_argument("--metrics", default=",".join(SHOWN))
    arguments = parser.parse_args()
    with arguments.summary.open(newline="", encoding="utf-8") as file:
        print(tables(list(csv.DictReader(file)), arguments.metrics.split(",")))


if __name__ == "__main__":
    main()
