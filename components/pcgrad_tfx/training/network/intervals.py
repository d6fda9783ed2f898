"""The intervals of numbers, found in the training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# A sample: more rows move a quantile by less than what separates two intervals.
_ROWS = 20_000


def boundaries(
    batches: Iterable[tuple[Mapping[str, Any], ...]], names: Sequence[str], bins: int
) -> dict[str, list[float]]:
    """The quantiles that part numbers into intervals of about equally many rows.

    Args:
        batches: Their first part are the features by name, [N] or [N, 1]; as many are read as make
            a sample of 20,000 rows.
        names: The features that are numbers.
        bins: How many intervals there are at most; with few different values there are fewer.

    Returns:
        By feature the ascending limits of its intervals.
    """
    if not (bins and names):
        return {}
    sample: list[npt.NDArray[np.float32]] = []
    rows = 0
    for features, *_ in batches:
        sample.append(np.stack([np.reshape(features[name], [-1]) for name in names], axis=1))
        rows += len(sample[-1])
        if rows >= _ROWS:
            break
    quantiles = np.quantile(np.concatenate(sample), np.linspace(0, 1, bins + 1), axis=0)
    return {
        name: np.unique(limits).astype(float).tolist()
        for name, limits in zip(names, quantiles.T, strict=True)
    }
