"""What the command line prints while it works: sentences on stdout, notes and a progress bar on stderr."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from maskstack.errors import in_line, visible
from maskstack.runs.folder import RunPlan
from maskstack.runs.rows import FAILED, ResultRow

_LONGEST_LINE = 1000
"""Largest width that a table may need, in characters."""


def names_in(text: str) -> tuple[str, ...]:
    """The names of a list with commas; those inside of brackets belong to a name.

    >>> names_in("mdm, gradcam,")
    ('mdm', 'gradcam')
    >>> names_in("mdm:sizes=(3, 7),gradcam")
    ('mdm:sizes=(3, 7)', 'gradcam')
    """
    return tuple(name.strip() for name in re.split(r",(?![^(\[]*[)\]])", text) if name.strip())


def plural(count: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "map"), plural(1200, "map")
    ('1 map', '1,200 maps')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits their size.

    >>> duration(40), duration(600), duration(9000)
    ('40 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class PlainConsole(Console):
    """A console that prints names as they are: nothing in a text is markup, a smiley, or a command to the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is printed; Rich calls this for every string."""
        return super().render_str(visible(text), **options)

    def on_broken_pipe(self) -> None:
        """Rich calls this where nothing reads stdout any more; its own way ends the program without a word.

        Raises:
            BrokenPipeError: Always; the program then says what is kept.
        """
        raise BrokenPipeError


def plain_console(**options: Any) -> Console:
    """A console that prints names as they are, without markup and without numbers to highlight."""
    return PlainConsole(markup=False, emoji=False, highlight=False, **options)


def print_table(console: Console, table: Table) -> None:
    """Print a table; in a narrow console its lines are too long, but no column or number is cut or left out."""
    needed = Measurement.get(console, console.options.update(width=_LONGEST_LINE), table).minimum
    wide = console if needed <= console.width else plain_console(quiet=console.quiet, width=needed)
    wide.print(table)


class ConsoleReporter:
    """Prints sentences and moves a progress bar, which only a terminal shows. Use it in a ``with`` statement.

    Args:
        quiet: Whether to print only errors, on stderr.
        width: Number of columns if stdout is not a terminal.
        transient: Whether the bar is removed at the end.
        remaining: Column of the bar that shows the remaining time; the default extrapolates the bar's own movement.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        width: int | None = None,
        transient: bool = False,
        remaining: ProgressColumn | None = None,
    ) -> None:
        self.quiet = quiet
        self.out = plain_console(quiet=quiet)
        if width is not None and not self.out.is_terminal:
            self.out = plain_console(quiet=quiet, width=width)
        self.errors = plain_console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        )  # fmt: skip
        hidden = quiet or not self.errors.is_terminal
        self.bar = Progress(
            *columns, remaining or TimeRemainingColumn(), console=self.errors, disable=hidden, transient=transient
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.bar.stop()

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self.out.print(in_line(sentence), soft_wrap=True)

    def warn(self, sentence: str, *, kind: str = "note") -> None:
        """Print a sentence on stderr."""
        if not self.quiet:
            self.errors.print(Text.assemble((f"{kind}: ", "bold yellow"), in_line(sentence)), soft_wrap=True)

    def start(self, what: str, total: int | None) -> None:
        """Begin a part of the work with its own bar; the total is None if it is unknown."""
        if self._task is not None:
            self.bar.remove_task(self._task)
        self._task = self.bar.add_task(in_line(what), total=total)

    def describe(self, what: str) -> None:
        """Change the text next to the bar."""
        if self._task is not None:
            self.bar.update(self._task, description=in_line(what))

    def advance(self, count: float = 1) -> None:
        """Advance the bar."""
        if self._task is not None:
            self.bar.advance(self._task, count)

    def move_to(self, count: float) -> None:
        """Set the bar to this number of units."""
        if self._task is not None:
            self.bar.update(self._task, completed=count)


class RunReporter(ConsoleReporter):
    """Prints the progress of a run of the leaderboard or of prototypes: its plan, damaged files and failures."""

    def looking(self, network: str, images: int) -> None:
        """Called with the number of images predicted so far, while correctly classified images are selected."""
        if self._task is None:
            self.start("predicting", None)
        self.describe(f"selecting images that {network} classifies correctly: {images} tried")

    def damaged(self, shards: Sequence[Path]) -> None:
        """Called with result files that could not be read and were set aside."""
        names = ", ".join(path.name for path in shards)
        self.warn(f"set aside {plural(len(shards), 'damaged result file')}; their maps are measured again: {names}")

    def planned(self, plan: RunPlan) -> None:
        """Called before the first map."""
        done = f", {plan.done} already done" if plan.done else ""
        time = "" if plan.seconds is None else f", about {duration(plan.seconds)} for one worker"
        self.say(
            f"{plural(plan.maps, 'map')} to make and measure{done}: at most {plan.forward:,} forward and "
            f"{plan.backward:,} backward passes{time}; you can interrupt and resume at any time"
        )
        self.start("measuring", plan.maps)

    def finished(self, maps: int, rows: Sequence[ResultRow]) -> None:
        """Called with the number of further maps that are measured and whose rows are written."""
        failed = next((row for row in rows if row.metric == FAILED), None)
        if failed is not None:
            self.warn(f"{failed.method} on {failed.image} of {failed.model}: {failed.failure}", kind="failed")
        self.advance(maps)
