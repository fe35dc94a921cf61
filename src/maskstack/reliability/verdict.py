"""The verdict on a map: one of three words, one sentence, and the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Word = Literal["reliable", "doubtful", "do not use", "not measured"]

KEPT, REMAINING, AGREEMENT, PROBABILITY = 0.5, 0.5, 0.3, 0.05
"""A map is reliable only if its region keeps at least ``KEPT`` of the score, at most ``REMAINING`` remains without it,
the members agree at least by ``AGREEMENT``, and the class has at least this probability. Chosen by
``benchmarks/trust.py``, see ``docs/trust.md``."""

LEAST_KEPT, LEAST_AGREEMENT = 0.2, 0.1
"""Below these, a map should not be used."""

LEAST_SEEDS, MOST_RANDOM = 0.5, 0.7
"""Limits of the rank correlation with the map of another seed, and of a network with random parameters; our choice."""


@dataclass(frozen=True)
class Numbers:
    """What was measured of one map; None where it was not measured or is not defined, see :class:`Trust`."""

    kept: float | None
    remaining: float | None
    agreement: float | None
    probability: float | None
    seeds: float | None
    randomization: float | None


@dataclass(frozen=True)
class Verdict:
    """How far to believe one map.

    Attributes:
        word: ``reliable``, ``doubtful`` or ``do not use``; ``not measured`` if there is nothing to judge by.
        sentence: One sentence that says why.
        reasons: Every reason against the map, most serious first; empty for a reliable map.
    """

    word: Word
    sentence: str
    reasons: tuple[str, ...] = ()


def verdict(numbers: Numbers, problem: str | None) -> Verdict:
    """The verdict that follows from the measurements of a map.

    Args:
        numbers: What was measured.
        problem: What went wrong, so that the map cannot be used; None if nothing did.
    """
    serious = [] if problem is None else [problem]
    if numbers.kept is not None and numbers.kept < LEAST_KEPT:
        serious.append(f"the region alone keeps only {percent(numbers.kept)} of the score")
    if numbers.agreement is not None and numbers.agreement < LEAST_AGREEMENT:
        serious.append(f"the members of the search disagree (rank correlation {numbers.agreement:z.2f})")
    if numbers.randomization is not None and numbers.randomization > MOST_RANDOM:
        serious.append(
            f"a network with random weights gives nearly the same map (rank correlation {numbers.randomization:z.2f})"
        )
    doubts = []
    if numbers.probability is not None and numbers.probability < PROBABILITY:
        doubts.append(f"the network gives this class a probability of only {numbers.probability:.1%}")
    if numbers.kept is not None and LEAST_KEPT <= numbers.kept < KEPT:
        doubts.append(f"the region alone keeps only {percent(numbers.kept)} of the score")
    if numbers.remaining is not None and numbers.remaining > REMAINING:
        doubts.append(f"{percent(numbers.remaining)} of the score remains without the region")
    if numbers.agreement is not None and LEAST_AGREEMENT <= numbers.agreement < AGREEMENT:
        doubts.append(f"the members of the search agree little (rank correlation {numbers.agreement:z.2f})")
    if numbers.seeds is not None and numbers.seeds < LEAST_SEEDS:
        doubts.append(f"another seed gives another map (rank correlation {numbers.seeds:z.2f})")
    reasons = tuple(serious + doubts)
    if serious:
        return Verdict("do not use", _sentence(reasons[0]), reasons)
    if doubts:
        return Verdict("doubtful", _sentence(" and ".join(doubts[:2])), reasons)
    if numbers.kept is None or numbers.remaining is None:
        return Verdict("not measured", "Nothing was measured; maskstack.trust measures the maps of any method.")
    kept, remaining = percent(numbers.kept), percent(numbers.remaining)
    return Verdict("reliable", f"The region alone keeps {kept} of the score, and without it {remaining} remains.")


def percent(share: float) -> str:
    """A share in words, between 0% and 100%; a region can score higher than the image, or lower than the fill.

    >>> percent(0.934), percent(81.8), percent(-0.02)
    ('93%', '100% or more', '0%')
    """
    if share > 1.005:
        return "100% or more"
    return f"{max(share, 0):.0%}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
