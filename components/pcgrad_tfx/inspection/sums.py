"""Amounts that two columns make up: as their sum or difference, their product or ratio.

A count of all riders beside the label of the registered ones gives that of the casual ones away; a
price and an area give a price for each square metre.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_ROWS = 30
# Bound the memory, which grows with rows × columns and with the square of the columns.
_MAX_ROWS, _MAX_CELLS = 5000, 5_000_000
_MAX_COLUMNS = 1000

# R² of what is made up of two columns, up to rounding; and of one that needs no other.
_EXACT = 0.999
_ALONE = 0.98
# Before missing values are left out: then a pair is worth a closer look.
_PROMISING = 0.9
_LOOKED_AT = 50
_KNOWN = 0.5
# Products and ratios are sums of logarithms, with factors of 1 and −1.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Pair:
    """Two columns that make up a third.

    Attributes:
        first: A feature.
        second: Another feature, or another label.
        is_label: Whether that is a label.
        how: "sum", "difference", "product" or "ratio".
        score: R².
    """

    first: str
    second: str
    is_label: bool
    how: str
    score: float


def find_pairs(
    target: NDArray[np.float64],
    features: Mapping[str, NDArray[np.float64]],
    labels: Mapping[str, NDArray[np.float64]],
) -> Iterator[Pair]:
    """Looks at every pair of columns.

    Args:
        target: An amount, [N]; NaN where it is missing.
        features: Numbers by name, [N] each.
        labels: Other labels by name, [N] each; a pair has one at most.

    Yields:
        The pairs that make the target up, the best first; none with a column that does it alone.
    """
    names = [*features, *labels]
    rows = np.flatnonzero(np.isfinite(target))
    if len(rows) < MIN_ROWS or len(names) < 2 or len(np.unique(target[rows])) < 3:
        return
    rows = rows[:: -(-len(rows) // min(_MAX_ROWS, 1 + _MAX_CELLS // len(names)))]
    values = np.stack([one[rows] for one in (*features.values(), *labels.values())], axis=1)
    found: dict[tuple[int, int], Pair] = {}
    for is_log in (False, True):
        y, columns = target[rows], values
        if is_log:
            y, columns = _logarithm(y), _logarithm(columns)
        for first, second in _promising(y, columns, len(features)):
            pair = _looked_at(y, columns[:, [first, second]], is_log)
            if pair is not None:
                is_label = second >= len(features)
                found.setdefault(
                    (first, second), Pair(names[first], names[second], is_label, *pair)
                )
    yield from sorted(found.values(), key=lambda pair: -pair.score)


def _logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.where(values > 0, values, np.nan))


def _promising(
    target: NDArray[np.float64], columns: NDArray[np.float64], features: int
) -> Iterator[tuple[int, int]]:
    """The pairs whose R² is high with the mean in the place of what is missing."""
    known = np.isfinite(columns)
    is_known = np.isfinite(target)
    if is_known.mean() < _KNOWN:
        return
    y = _standardized(target[:, None])
    standard = _standardized(columns)
    with_target = (standard.T @ y)[:, 0] / len(y)
    usable = (known.mean(axis=0) >= _KNOWN) & (with_target**2 < _ALONE)
    chosen = np.flatnonzero(usable)
    if len(chosen) > _MAX_COLUMNS:
        # The parts of a sum have something to do with it.
        chosen = np.sort(chosen[np.argsort(-np.abs(with_target[chosen]))[:_MAX_COLUMNS]])
    standard, with_target = standard[:, chosen], with_target[chosen]
    between = standard.T @ standard / len(y)
    a, b = with_target[:, None], with_target[None, :]
    left = 1 - between**2
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (a**2 + b**2 - 2 * a * b * between) / left
    # Two columns that are nearly the same say nothing together that one does not.
    score[left < 1e-6] = 0
    is_label = chosen >= features
    score[np.ix_(is_label, is_label)] = 0
    score = np.triu(np.nan_to_num(score), 1)
    best = np.argsort(score, axis=None)[::-1][:_LOOKED_AT]
    for first, second in zip(*np.unravel_index(best, score.shape), strict=True):
        if score[first, second] >= _PROMISING:
            yield int(chosen[first]), int(chosen[second])


def _standardized(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """With mean 0 and variance 1, and the mean where a value is missing."""
    known = np.isfinite(columns)
    counts = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, columns - np.where(known, columns, 0).sum(axis=0) / counts, 0)
    std = centred.std(axis=0)
    return centred / np.where(std > 0, std, 1)


def _looked_at(
    target: NDArray[np.float64], pair: NDArray[np.float64], is_log: bool
) -> tuple[str, float] | None:
    """How two columns make the target up, and its R², where all three are known."""
    known = np.isfinite(pair).all(axis=1) & np.isfinite(target)
    if known.sum() < MIN_ROWS or 0 in (target[known].std(), *pair[known].std(axis=0)):
        return None
    design = np.column_stack([pair[known], np.ones(known.sum())])
    factors, *_ = np.linalg.lstsq(design, target[known], rcond=None)
    score = 1 - np.var(target[known] - design @ factors) / np.var(target[known])
    alone = max(np.corrcoef(column, target[known])[0, 1] ** 2 for column in pair[known].T)
    if score < _EXACT or alone >= _ALONE:
        return None
    if is_log and np.abs(np.abs(factors[:2]) - 1).max() > _TOLERANCE:
        return None
    same_sign = factors[0] * factors[1] > 0
    if is_log:
        return "product" if same_sign else "ratio", float(score)
    return "sum" if same_sign else "difference", float(score)
