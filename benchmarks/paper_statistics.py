"""Paired differences between two methods that saw the same seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean paired difference with its confidence interval.

    Attributes:
        mean: The mean over the pairs.
        low: The interval's lower end.
        high: The interval's upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def paired_difference(
    ours: Sequence[float], others: Sequence[float], confidence: float = 0.95
) -> Difference:
    """Estimates the mean of `ours - others` with Student's t-interval.

    Args:
        ours: One value for each seed.
        others: The other method's values for the same seeds, in the same order.
        confidence: Coverage of the interval, not adjusted for the number of comparisons.

    Returns:
        The difference.

    Raises:
        ValueError: There are fewer than two pairs, or the numbers of values differ.
    """
    if len(ours) != len(others):
        raise ValueError(f"{len(ours)} and {len(others)} values make no pairs")
    if len(ours) < 2:
        raise ValueError("an interval needs two seeds or more")
    differences = np.asarray(ours, float) - np.asarray(others, float)
    interval = stats.ttest_rel(ours, others).confidence_interval(confidence)
    return Difference(float(differences.mean()), float(interval.low), float(interval.high))
