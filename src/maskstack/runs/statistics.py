"""Confidence intervals and tests over images: pure functions on arrays of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
SIGNIFICANT = 0.05

Numbers = NDArray[np.float64]

MOST_DRAWN = 100_000
"""Number of images up to which single images are drawn; of more images, this many random groups are drawn."""

MOST_EXACT = 50
"""Number of differences up to which the paired test is exact."""

_DECIMALS = 12
"""Decimals of a difference that count; means of the same values in another order differ by rounding errors."""

_BLOCK = 4_000_000
"""Maximum number of values in memory while samples are drawn."""


class Bootstrap:
    """Percentile intervals of means over images.

    The same images are drawn for all samples of one size, so the intervals of all methods rest on the same draws.

    Memory and time for a table of draws and images grow without bound. Therefore more than :data:`MOST_DRAWN` images
    are put into that many random groups, and the groups are drawn. The sums of the groups vary as those of the images
    do, so the intervals are the same within the error of sampling.

    Args:
        draws: Number of bootstrap samples.
        seed: Seed of the draws.
    """

    def __init__(self, *, draws: int = 2000, seed: int = 0) -> None:
        self.draws, self.seed = draws, seed
        self._size = 0
        self._times: NDArray[np.uint8] = np.empty((0, 0), np.uint8)

    def intervals(self, samples: Numbers) -> Numbers:
        """Lower and upper end of the interval of each sample's mean.

        Args:
            samples: K x N, finite.

        Returns:
            K x 2; NaN where N is 0.
        """
        count, size = samples.shape
        if not size or not count:
            return np.full((count, 2), np.nan)
        sums, counts = self._grouped(samples) if size > MOST_DRAWN else (samples, np.ones(size))
        times = self._drawn(len(counts))
        step = max(1, _BLOCK // len(counts))
        means = np.empty((self.draws, count))
        for first in range(0, self.draws, step):
            drawn = times[first : first + step].astype(np.float64)
            means[first : first + step] = (drawn @ sums.T) / (drawn @ counts)[:, None]
        outside = 50 * (1 - LEVEL)
        ends: Numbers = np.percentile(means, [outside, 100 - outside], axis=0).T
        return ends

    def _grouped(self, samples: Numbers) -> tuple[Numbers, Numbers]:
        """Sums of each sample over random groups of images, K x groups, and the number of images in each group."""
        count, size = samples.shape
        random, step = np.random.default_rng(self.seed), max(1, _BLOCK // 4)
        sums, counts = np.zeros((count, MOST_DRAWN)), np.zeros(MOST_DRAWN)
        for first in range(0, size, step):
            groups = random.integers(MOST_DRAWN, size=min(step, size - first))
            counts += np.bincount(groups, minlength=MOST_DRAWN)
            for line, sample in zip(sums, samples, strict=True):
                line += np.bincount(groups, sample[first : first + step], minlength=MOST_DRAWN)
        return sums, counts

    def _drawn(self, size: int) -> NDArray[np.uint8]:
        """How often each image occurs in each draw: draws x images."""
        if self._size != size:
            random = np.random.default_rng(self.seed)
            self._size, self._times = size, np.empty((self.draws, size), np.uint8)
            step = max(1, _BLOCK // size)
            for first in range(0, self.draws, step):
                rows = min(step, self.draws - first)
                places = random.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
                # An image is drawn once on average, so a count above 255 cannot occur in practice.
                counted = np.bincount(places.ravel(), minlength=rows * size)
                self._times[first : first + rows] = counted.reshape(rows, size)
        return self._times


def signed_rank_p(differences: Numbers, *, toward_mean: bool = False) -> float:
    """Wilcoxon's signed-rank test, two-sided: the probability of such one-sided differences if their median were zero.

    Differences of zero are left out, and equal ones share the mean of their ranks; differences that differ only by
    rounding errors are equal. The probability is exact for up to :data:`MOST_EXACT` differences that are not zero, also
    where some are equal, as those of metrics that are 0 or 1. Of more, it is that of the normal distribution.

    Args:
        differences: Differences of paired values, N, finite.
        toward_mean: Whether the test is of the sign of the mean difference. If a few large differences have another
            sign than most of the others, the ranks do not support the sign of the mean; the p-value is then 1.

    Returns:
        The p-value; 1 if all differences are zero, NaN if there are none.
    """
    if not len(differences):
        return float("nan")
    rounded = np.round(np.asarray(differences, dtype=np.float64), _DECIMALS)
    rounded = rounded[rounded != 0]
    if not len(rounded):
        return 1.0
    _, place, times = np.unique(np.abs(rounded), return_inverse=True, return_counts=True)
    # Twice the mean rank of equal values is a whole number.
    doubled = (2 * np.cumsum(times) - times + 1)[place]
    below, above = _tails(doubled, int(doubled[rounded > 0].sum()), times)
    mean = float(np.mean(differences))
    if toward_mean and abs(mean) >= 10.0**-_DECIMALS:
        return min(1.0, 2 * (above if mean > 0 else below))
    return min(1.0, 2 * min(below, above))


def _tails(doubled: NDArray[np.int64], positive: int, times: NDArray[np.int64]) -> tuple[float, float]:
    """Probabilities that random signs give at most, and at least, this sum of the doubled ranks of positive values."""
    total, count = int(doubled.sum()), len(doubled)
    if count > MOST_EXACT:
        variance = (count * (count + 1) * (2 * count + 1) - float((times**3.0 - times).sum()) / 2) / 6
        distance = (positive - total / 2) / math.sqrt(2 * variance)
        return math.erfc(-distance) / 2, math.erfc(distance) / 2
    ways = np.zeros(total + 1)
    ways[0] = 1  # the number of choices of signs that give each sum
    for rank in doubled:
        ways[rank:] += ways[:-rank].copy()
    share = ways / ways.sum()
    return float(share[: positive + 1].sum()), float(share[positive:].sum())


def holm(p_values: Sequence[float] | Numbers) -> Numbers:
    """Holm's correction of p-values for the number of tests.

    Args:
        p_values: The p-values of one family of tests; NaN where no test was made.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    given = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(given.shape, np.nan)
    tests = np.flatnonzero(np.isfinite(given))
    order = tests[np.argsort(given[tests], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1)
    return corrected


def ranks(values: Numbers, *, sign: int) -> Numbers:
    """Ranks by mean over images: 1 is best, equal methods share the mean of their ranks.

    Two methods are compared on the images both have, so a method does not gain from missing hard images.
    Where all methods have the same images, this is the rank by mean.

    Args:
        values: Methods x images, NaN where there is no value.
        sign: 1 if high is good, -1 if low is.

    Returns:
        A rank per method; NaN for a method without any value.

    >>> ranks(np.array([[1.0, 2.0], [3.0, 4.0], [3.0, np.nan]]), sign=1)
    array([3. , 1.5, 1.5])
    """
    there = np.isfinite(values)
    # Sum of a method over the images that it shares with another, and their number.
    sums, shared = (known @ there.T.astype(np.float64) for known in (np.where(there, values, 0), there))
    ahead = sign * (sums - sums.T) / np.maximum(shared, 1)
    # Sums of the same values in another order differ by rounding errors.
    alike = np.abs(ahead) < 1e-12
    measured = there.any(axis=1)
    met = shared > 0
    better = ((ahead < 0) & ~alike & met).sum(axis=1)
    equal = (alike & met).sum(axis=1) - 1
    return np.where(measured, 1 + better + equal / 2, np.nan)
