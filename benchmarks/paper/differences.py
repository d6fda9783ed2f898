"""Paired differences between two methods that saw the same seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pcgrad_tfx.comparison.statistics import paired


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


def paired_difference(ours: Sequence[float], others: Sequence[float]) -> Difference:
    """Estimates the mean of `ours - others` as the comparison in the pipeline does.

    Args:
        ours: One value for each seed.
        others: The other method's values for the same seeds, in the same order.

    Returns:
        The difference; its 95% interval is not adjusted for the number of comparisons.

    Raises:
        ValueError: There are fewer than two pairs, or the numbers of values differ.
    """
    if len(ours) != len(others):
        raise ValueError(f"{len(ours)} and {len(others)} values make no pairs")
    found = paired(a - b for a, b in zip(ours, others, strict=True))
    if found is None:
        raise ValueError("an interval needs two seeds or more")
    return Difference(*found[:3])
