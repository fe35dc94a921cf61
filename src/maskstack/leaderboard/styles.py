"""How the methods look in all figures of a network: the names of the page's styles."""

from __future__ import annotations

from maskstack.leaderboard.comparison import Comparison, is_control

STYLES = 8
"""Colours and dashes that can be told apart; further methods are thin and pale."""


def styles(comparison: Comparison) -> dict[str, str]:
    """A style per method: the reference has the first, then the methods by rank; controls are grey."""
    ranked = [method for method in comparison.methods if not is_control(method)]
    ranked.sort(key=lambda method: method != comparison.reference)
    controls = [method for method in comparison.methods if is_control(method)]
    named = {method: f"style-{place}" if place < STYLES else "pale" for place, method in enumerate(ranked)}
    return named | {method: f"control control-{place % 3}" for place, method in enumerate(controls)}
