"""The verdict on a map: one of three words, one sentence, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Word = Literal["reliable", "doubtful", "do not use", "not measured"]

REGION_SHARE = 0.45
"""Share of the pixels that are the region of a map."""

GAP, REGION_KEPT, AGREEMENT, PROBABILITY = 0.5, 0.1, 0.2, 0.05
"""A map is reliable only if it keeps at least ``GAP`` more of the score than remains without it, its region with a hard
edge keeps at least ``REGION_KEPT``, the members agree at least by ``AGREEMENT``, and the class has at least this
probability. Chosen with ``benchmarks/trust.py``, see ``docs/trust.md``.
"""

USABLE_GAP, USABLE_AGREEMENT = 0.25, 0.1
"""Below these, a map should not be used."""

LEAST_SEEDS, MOST_RANDOM = 0.5, 0.7
"""Limits of the rank correlation with the map of another seed, and of a network with random parameters; our choice."""


@dataclass(frozen=True)
class Numbers:
    """What was measured of one map; None where it was not measured or is not defined, see :class:`Trust`."""

    region_kept: float | None
    region_remaining: float | None
    map_kept: float | None
    map_remaining: float | None
    agreement: float | None
    probability: float | None
    seeds: float | None
    randomization: float | None

    @property
    def kept(self) -> float | None:
        """Share of the score that the map keeps, from 0 to 1: the mean over the soft mask and the hard region."""
        return _mean(self.map_kept, self.region_kept)

    @property
    def remaining(self) -> float | None:
        """Share of the score that remains with it hidden, from 0 to 1: the mean over both."""
        return _mean(self.map_remaining, self.region_remaining)


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
    serious = [reason for reason in (problem, *_serious(numbers)) if reason]
    doubts = list(_doubts(numbers))
    reasons = tuple(serious + doubts)
    if serious:
        return Verdict("do not use", _sentence(serious[0]), reasons)
    if doubts:
        return Verdict("doubtful", _sentence("; ".join(doubts[:2])), reasons)
    if numbers.kept is None or numbers.remaining is None:
        return Verdict("not measured", "Nothing was measured; maskstack.trust measures the maps of any method.")
    kept, remaining = percent(numbers.kept), percent(numbers.remaining)
    return Verdict("reliable", f"What the map shows keeps {kept} of the score; with it hidden, {remaining} remains.")


def _serious(numbers: Numbers) -> Iterator[str]:
    gap = _gap(numbers)
    if gap is not None and gap < USABLE_GAP:
        yield _map_words(numbers)
    if numbers.agreement is not None and numbers.agreement < USABLE_AGREEMENT:
        yield f"the members of the search disagree (rank correlation {numbers.agreement:z.2f})"
    if numbers.randomization is not None and numbers.randomization > MOST_RANDOM:
        alike = f"(rank correlation {numbers.randomization:z.2f})"
        yield f"a network with random weights gives nearly the same map {alike}"


def _doubts(numbers: Numbers) -> Iterator[str]:
    gap = _gap(numbers)
    if numbers.probability is not None and numbers.probability < PROBABILITY:
        yield f"the network gives this class a probability of only {numbers.probability:.1%}"
    if gap is not None and USABLE_GAP <= gap < GAP:
        yield _map_words(numbers)
    if numbers.region_kept is not None and numbers.region_kept < REGION_KEPT:
        kept = percent(numbers.region_kept)
        yield (
            f"cut out with a hard edge, the most salient {REGION_SHARE:.0%} of the image keeps only {kept} of the "
            "score, so the faint parts of the map matter too"
        )
    if numbers.agreement is not None and USABLE_AGREEMENT <= numbers.agreement < AGREEMENT:
        yield f"the members of the search agree little (rank correlation {numbers.agreement:z.2f})"
    if numbers.seeds is not None and numbers.seeds < LEAST_SEEDS:
        yield f"another seed gives another map (rank correlation {numbers.seeds:z.2f})"


def _mean(soft: float | None, hard: float | None) -> float | None:
    """The mean of the shares that were measured, each counted as at least 0 and at most the whole score."""
    known = [min(max(share, 0.0), 1.0) for share in (soft, hard) if share is not None]
    return sum(known) / len(known) if known else None


def _gap(numbers: Numbers) -> float | None:
    if numbers.kept is None or numbers.remaining is None:
        return None
    return numbers.kept - numbers.remaining


def _map_words(numbers: Numbers) -> str:
    kept, remaining = percent(numbers.kept or 0), percent(numbers.remaining or 0)
    return f"what the map shows keeps {kept} of the score, but with it hidden {remaining} remains"


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
