"""The report as a single HTML file without scripts or links to other files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskstack.errors import require
from maskstack.leaderboard.columns import Column, label_of
from maskstack.leaderboard.comparison import MethodOnMetric, is_control
from maskstack.leaderboard.sections import NetworkSection


def render(sections: Sequence[NetworkSection], *, only_common: bool = False) -> str:
    """The page.

    Args:
        sections: The networks.
        only_common: Whether the numbers are means over the images that all methods have.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="bench")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "count": count, "signed": signed, "p_value": p_value, "setting": setting}
    environment.filters["label"] = label_of
    environment.tests["control"] = is_control
    text: str = environment.get_template("page.html.j2").render(
        sections=sections,
        reference=sections[0].comparison.reference,
        only_common=only_common,
        methods=_methods(sections),
        standing=standing,
    )
    return text


def standing(cell: MethodOnMetric, column: Column) -> str:
    """Whether a method is significantly better or worse than the reference; empty if neither."""
    if not cell.told_apart or not column.sign or not cell.difference:
        return ""
    return "better" if cell.difference * column.sign > 0 else "worse"


def number(value: float | None) -> str:
    """A mean, or half the width of an interval, with three decimals.

    >>> number(0.4826), number(-12.34), number(None)
    ('0.483', '−12.3', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{3 if abs(value) < 10 else 1}f}".replace("-", "−")


def signed(value: float) -> str:
    """A difference with its sign.

    >>> signed(0.5), signed(-0.25)
    ('+0.500', '−0.250')
    """
    return f"{value:+.3f}".replace("-", "−")


def count(value: float | None) -> str:
    """A mean number of passes or seconds.

    >>> count(1282.0), count(2.5), count(0.0123), count(0), count(None)
    ('1,282', '2.5', '0.012', '0', '–')
    """
    if value is None:
        return "–"
    if value == round(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def p_value(value: float) -> str:
    """A p-value.

    >>> p_value(0.0312), p_value(1e-9)
    ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def setting(values: Sequence[Any]) -> str:
    """A setting of a protocol; its range if images differ.

    >>> setting((10.0,)), setting((0.5, 0.25, 1.0)), setting(([0.1, 0.3],))
    ('10.0', '0.25 to 1.0, by image', '0.1, 0.3')
    """
    if len(values) == 1:
        (value,) = values
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if all(isinstance(value, int | float) for value in values):
        return f"{min(values)} to {max(values)}, by image"
    return "; ".join(setting((value,)) for value in values)


def _methods(sections: Sequence[NetworkSection]) -> list[str]:
    """The ranked methods of all networks, by the mean of their mean ranks."""
    found: dict[str, list[float]] = {}
    for one in sections:
        for method, (rank, _) in one.comparison.mean_ranks.items():
            found.setdefault(method, []).append(rank if math.isfinite(rank) else math.inf)
    return sorted(found, key=lambda method: (sum(found[method]) / len(found[method]), method))
