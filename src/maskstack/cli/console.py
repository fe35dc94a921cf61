"""What the command line says while it works: tables and a progress bar, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from maskstack.explanation import Explanation
from maskstack.masks.result import Progress as SearchProgress


class Report:
    """Speaks to a person (tables on stdout, the bar on stderr) or, with JSON, to a machine (one document on stdout)."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(quiet=as_json, highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        self.document: dict[str, Any] = {"warnings": [], "predictions": {}, "results": []}
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._finished = 0

    def warn(self, sentence: str) -> None:
        """Say what the reader of the results has to know."""
        self.document["warnings"].append(sentence)
        if not self.as_json:
            self.errors.print(Text.assemble(("note: ", "bold yellow"), sentence))

    def predictions(self, photo: str, best: Sequence[tuple[str, float]]) -> None:
        """Say what the network takes the photo for."""
        self.document["predictions"][photo] = [{"class": name, "probability": p} for name, p in best]
        line = ", ".join(f"{name} {p:.1%}" for name, p in best)
        self.console.print(Text.assemble((photo, "bold"), ": ", line), soft_wrap=True)

    def cost(self, passes: dict[str, int], *, todo: int, done: int, seconds: float) -> None:
        """Say what the work will cost, before it starts."""
        expected = seconds * passes["backward"]
        self.document["cost"] = passes | {"expected_seconds": expected, "maps": todo, "already_done": done}
        skipped = f", {done} already done" if done else ""
        self.console.print(
            f"{todo} map{'' if todo == 1 else 's'}{skipped}: at most {passes['forward']} forward and "
            f"{passes['backward']} backward passes, about {expected:.0f} s"
        )

    @contextmanager
    def progress(self, jobs: int) -> Iterator[None]:
        """Show a bar over all jobs while they are worked on."""
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        quiet = self.as_json or not self.errors.is_terminal
        with Progress(*columns, console=self.errors, transient=True, disable=quiet) as bar:
            self._bar, self._task = bar, bar.add_task("explaining", total=max(jobs, 1))
            yield

    def step(self, state: SearchProgress) -> None:
        """Move the bar on within a job."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._finished + state.step / state.steps)

    def result(self, photo: str, explanation: Explanation, files: dict[str, str]) -> None:
        """Show the numbers of one finished map and where its files are."""
        self._finished += 1
        numbers = explanation.summary()[0]
        self.document["results"].append({"photo": photo, **numbers, "seconds": explanation.seconds, "files": files})
        table = Table(box=None, pad_edge=False, show_header=True)
        cells = {
            "target": numbers["target_name"] or f"class {numbers['target']}",
            numbers["objective"].replace("class_", ""): f"{float(explanation.score_before[0]):.3g}",
            "kept by the mask": f"{float(explanation.score_under_stack[0]):.3g}",
            "area": f"{float(explanation.area[0]):.0%}",
            "passes": f"{numbers['forward_passes']} + {numbers['backward_passes']}",
            "seconds": f"{explanation.seconds:.1f}",
        }
        for heading in cells:
            table.add_column(heading)
        table.add_row(*cells.values())
        self.console.print()
        self.console.print(Text(photo, style="bold"))
        self.console.print(table)
        if explanation.trust is not None:
            self.console.print(Text.assemble(("trust: ", "bold"), explanation.trust.words(0)), soft_wrap=True)
        for reason in _doubts(explanation):
            self.console.print(Text(reason, style="bold yellow"), soft_wrap=True)
        self.console.print(Text(f"  {next(iter(files.values()))}", style="dim"), soft_wrap=True)

    def finish(self, out: Path, what: str = "overlays, figures and explanations") -> None:
        """Say where the results are."""
        if self.as_json:
            typer.echo(json.dumps(self.document, indent=2))
        else:
            self.console.print(f"\nwrote {what} to {out}")


def _doubts(explanation: Explanation) -> list[str]:
    """Why the map should not be trusted, or only a little."""
    low = [] if explanation.trust is None else explanation.trust.doubts(0)
    own = explanation.degenerate[0]
    return low if own is None or own in low else [f"do not trust this map: {own}", *low]
