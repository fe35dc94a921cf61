"""Counts what the generated tests tried and what broke, and prints both at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.hardening.counts import Tally

TRIED, BROKEN = "tried", "broken"


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterator[Tally]:
    """Counts the trials of a test; the test fails at its end if one of them broke."""
    found = Tally()
    yield found
    record_property(TRIED, found.tried)
    record_property(BROKEN, len(found.broken))
    if found.broken:
        pytest.fail(f"{len(found.broken)} of {found.tried} broke:\n" + "\n".join(found.broken[:20]), pytrace=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the counts of each test, and the sum of each file."""
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = dict(getattr(report, "user_properties", ()))
            if getattr(report, "when", None) == "teardown" and TRIED in properties:
                file, _, test = report.nodeid.partition("::")
                for name in ("", test.partition("[")[0]):
                    counts[file][name][0] += properties[TRIED]
                    counts[file][name][1] += properties[BROKEN]
    for file, tests in sorted(counts.items()):
        for name, (tried, broken) in sorted(tests.items()):
            terminalreporter.write_line(f"{f'  {name}' if name else file}: {tried} tried, {broken} broken")
