"""What ``maskstack explain`` and ``gallery`` print: predictions, the cost and a table for each map; or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.progress import ProgressColumn, Task
from rich.table import Table
from rich.text import Text

from maskstack.cli.console import ConsoleReporter, duration, plural, print_table
from maskstack.errors import in_line
from maskstack.explanation import Explanation
from maskstack.files import json_text
from maskstack.jobs.pace import Pace
from maskstack.masks.result import Progress
from maskstack.reliability.verdict import percent

STYLES = {"reliable": "bold green", "doubtful": "bold yellow", "do not use": "bold red", "not measured": "bold"}
"""Style of each verdict's word."""


def evidence_lines(explanation: Explanation) -> list[str]:
    """What was found beside the map of the first image, in sentences."""
    lines = []
    if (regions := explanation.regions) is not None:
        count = int(regions.count[0])
        for number in range(count):
            area, kept = float(regions.area[0, number]), float(regions.kept[0, number])
            lines.append(f"region {number + 1}: {area:.0%} of the image alone keeps {percent(kept)} of the score")
        if count:
            lines.append(f"with all of them hidden, {percent(float(regions.remaining[0]))} of the score remains")
        else:
            lines.append("no region keeps its share of the score by itself")
    if (contrast := explanation.contrast) is not None:
        own = explanation.target_name[0] if explanation.target_name else f"class {int(contrast.target[0])}"
        other = explanation.notes.get("against_name", f"class {int(contrast.against[0])}")
        before, after = contrast.before[0].tolist(), contrast.hidden[0].tolist()
        area = float(contrast.hiding[0].float().mean())
        lines.append(f"before: {own} {before[0]:.0%}, {other} {before[1]:.0%}")
        if not area:
            lines.append(f"no region was found whose hiding changes the answer {own}")
        else:
            first = (
                "" if bool(contrast.turned[0]) else f"; {explanation.notes.get('first_name', 'another class')} is first"
            )
            lines.append(f"with {area:.0%} of the image hidden: {own} {after[0]:.0%}, {other} {after[1]:.0%}{first}")
        if speaking := float(contrast.speaking[0].float().mean()):
            lines.append(f"{speaking:.0%} of the image alone is enough to answer {own} rather than {other}")
    return lines


def _row(photo: str, explanation: Explanation, files: Mapping[str, str]) -> dict[str, Any]:
    """What JSON says about a map."""
    return {"photo": photo, **explanation.summary()[0], "seconds": explanation.seconds, "files": dict(files)}


def _class_name(row: Mapping[str, Any]) -> str:
    """Name of the class that a map explains; empty where it explains none."""
    return str(row["target_name"] or ("" if row["target"] is None else f"class {row['target']}"))


class PaceColumn(ProgressColumn):
    """Shows how long the rest of the maps will take."""

    def __init__(self, pace: Callable[[], Pace]) -> None:
        super().__init__()
        self.pace = pace

    def render(self, _task: Task) -> Text:
        """The time, or nothing before it is known."""
        left = self.pace().remaining()
        return Text("" if left is None else f"about {duration(left)} left")


class ResultReporter(ConsoleReporter):
    """Prints for a person (tables on stdout, the bar on stderr) or, with JSON, for a program (one document on stdout).

    Attributes:
        document: What JSON holds.
        pace: How fast the maps are made.
    """

    def __init__(self, *, as_json: bool, verbose: bool = False) -> None:
        self.pace = Pace(0)
        super().__init__(quiet=as_json, transient=True, remaining=PaceColumn(lambda: self.pace))
        self.verbose = verbose
        self.document: dict[str, Any] = {"warnings": [], "predictions": {}, "results": []}

    def warn(self, sentence: str, *, kind: str = "note") -> None:
        """Print a note that the reader of the results should know."""
        self.document["warnings"].append(sentence)
        super().warn(sentence, kind=kind)

    def predictions(self, photo: str, best: Sequence[tuple[str, float]]) -> None:
        """Print the best classes of a photo, each with its probability."""
        self.document["predictions"][photo] = [{"class": name, "probability": p} for name, p in best]
        line = ", ".join(f"{name} {p:.1%}" for name, p in best)
        self.out.print(Text.assemble((in_line(photo), "bold"), ": ", in_line(line)), soft_wrap=True)

    def numbers(self, photo: str, values: Sequence[float]) -> None:
        """Print the numbers that the network gives for a photo, where it has no classes."""
        self.document["predictions"][photo] = list(values)
        more = ", ..." if len(values) > 8 else ""
        line = ", ".join(f"{value:.4g}" for value in values[:8]) + more
        self.out.print(Text.assemble((in_line(photo), "bold"), ": ", in_line(line)), soft_wrap=True)

    def output(self, words: str, doubt: str) -> None:
        """Print what the network's output is, once for photos with the same output."""
        if self.document.get("output") != words:
            self.document["output"] = words
            self.say(f"output: {words}")
            if doubt:
                self.warn(doubt.replace("output=", "--output ").rstrip())

    def cost(self, passes: Mapping[str, int], *, todo: int, done: int, seconds: float) -> None:
        """Print the cost of the work before it starts."""
        self.document["cost"] = {**passes, "expected_seconds": seconds, "maps": todo, "already_done": done}
        skipped = f", {done} already done" if done else ""
        self.say(
            f"{plural(todo, 'map')}{skipped}: at most {passes['forward']:,} forward and {passes['backward']:,} "
            f"backward passes, about {duration(seconds)}"
        )

    @contextmanager
    def searching(self, maps: int) -> Iterator[None]:
        """Show a bar while this number of maps is made."""
        self.pace = Pace(maps)
        with self:
            self.start("explaining", max(maps, 1))
            yield

    def begin(self, number: int, together: int = 1) -> None:
        """Say how long the rest will take, from the time that the maps before it took."""
        self.pace.at(number, together)
        self.move_to(number)
        if number > 1 and not self.errors.is_terminal and (left := self.pace.remaining()) is not None:
            self.say(f"{number} of {plural(self.pace.total, 'map')} searched, about {duration(left)} left")

    def step(self, state: Progress) -> None:
        """Advance the bar within a map, or within those that are made together."""
        self.move_to(self.pace.done + self.pace.making * state.step / state.steps)

    def result(self, photo: str, explanation: Explanation, files: Mapping[str, str]) -> None:
        """Print the numbers of a finished map, how far to trust it, and its first file."""
        row = _row(photo, explanation, files)
        self.document["results"].append(row)
        verdict = explanation.trust.verdict(0)
        self.out.print()
        name = _class_name(row)
        self.out.print(Text.assemble((in_line(photo), "bold"), in_line(f": {name}") if name else ""), soft_wrap=True)
        self.out.print(Text.assemble((f"{verdict.word}: ", STYLES[verdict.word]), verdict.sentence), soft_wrap=True)
        for line in evidence_lines(explanation):
            self.out.print(Text(in_line(line)), soft_wrap=True)
        if self.verbose:
            self._details(explanation, row)
        self.out.print(Text(f"  {in_line(next(iter(files.values())))}", style="dim"), soft_wrap=True)

    def finished(self, position: int, photo: str, files: Mapping[str, str]) -> None:
        """Add a map of an earlier run to the JSON document, in its place."""
        if self.quiet:
            self.document["results"].insert(position, _row(photo, Explanation.load(files["explanation"]), files))

    def _details(self, explanation: Explanation, numbers: Mapping[str, Any]) -> None:
        """Print the numbers behind a map, and every reason against it."""
        cells = {
            "class": _class_name(numbers) or "-",
            numbers["objective"].replace("class_", ""): f"{float(explanation.score_before[0]):.3g}",
            "under the mask": f"{float(explanation.score_under_stack[0]):.3g}",
            "area shown": f"{float(explanation.area[0]):.0%}",
            "passes": f"{numbers['forward_passes']} + {numbers['backward_passes']}",
            "seconds": f"{explanation.seconds:.1f}",
        }
        table = Table(box=None, pad_edge=False)
        for name, value in cells.items():
            # In a narrow terminal names are folded, but numbers stay whole.
            table.add_column(name, overflow="fold", min_width=min(len(value), 8))
        table.add_row(*cells.values())
        print_table(self.out, table)
        for reason in explanation.trust.verdict(0).reasons:
            self.out.print(Text(f"- {reason}"), soft_wrap=True)

    def finish(self, out: Path) -> None:
        """Print where the results are, or the JSON document.

        Args:
            out: Folder of the results.
        """
        if self.quiet:
            typer.echo(json_text(self.document))
        elif not self.document["results"] and "cost" in self.document:
            self.out.print()
            self.say(f"nothing to do: all results are already in {out}")
        else:
            self.out.print()
            self.say(f"wrote the results to {out}")
