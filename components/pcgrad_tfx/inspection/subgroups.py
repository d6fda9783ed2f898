"""Subgroups, each defined by one feature, within which a label hardly varies.

Values that many rows have, that a value is missing, and that it is known: the number on the body
that was found says that its passenger has not survived, whatever the number. Ranges of numbers are
none: at the end of a good feature's range the label often does not vary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.errors import brief, shown

MIN_ROWS = 30

# A subgroup's share of the rows, and within it the share of the rarer label or, of an amount, its
# variance relative to that of all rows.
_SHARE = 0.05
_RARE = 0.01
_LITTLE_VARIANCE = 0.001
# Of amounts so many of the lowest and of the highest count as the next one: beside a row of totals
# no amount varies.
_EXTREME = 0.001
# Of the other rows the rarer label must have so much, and so many times what it has here: 99.2%, or
# even all, is not much where 93% are the rule.
_RARE_ELSEWHERE = 0.1
_TIMES_AS_MANY = 20
# The share of the label's variance between the subgroup and the other rows that is worth a line.
_GAIN = 0.005
# From here on that a value is known gives the label away, even if not in every row.
_PRESENCE_GAIN = 0.5


@dataclass(frozen=True)
class Subgroup:
    """What holds within a subgroup.

    Attributes:
        where: The subgroup, as "payment_type = 'Cash' (65% of the rows)".
        finding: What holds, in words.
        strength: The share of the label's variance that is between it and the other rows.
        p_value: Of the hypothesis that the label is distributed as in all rows; not corrected.
    """

    where: str
    finding: str
    strength: float
    p_value: float


class Column:
    """The values of a feature, numbered once for all tasks.

    Args:
        name: The feature.
        values: Numbers, NaN where missing; or texts, empty where missing.
    """

    def __init__(self, name: str, values: NDArray[Any]) -> None:
        self.name = name
        self.is_number = values.dtype.kind == "f"
        codes, distinct = pd.factorize(values, use_na_sentinel=False)
        frequent_first = np.argsort(-np.bincount(codes), kind="stable")
        places = np.empty_like(frequent_first)
        places[frequent_first] = np.arange(len(places))
        self.codes = places[codes]
        self.distinct = distinct[frequent_first]
        self.is_missing = pd.isna(self.distinct) | (self.distinct == "")
        self.numbers = values if self.is_number else None


def find_subgroups(
    column: Column, known: NDArray[np.bool_], task: Task, label: NDArray[np.float64]
) -> tuple[list[Subgroup], int]:
    """Looks at every subgroup that a column defines.

    Args:
        column: The column.
        known: The rows that have a label.
        task: The task.
        label: The labels of these rows.

    Returns:
        What was found, the strongest first, and how many subgroups were looked at.
    """
    found = []
    tries = 0
    for where, rows, is_presence in _subgroups(column, column.codes[known]):
        tries += 1
        inside = f"{where} ({rows.mean():.0%} of the rows)"
        if task.kind == "regression":
            finding = _flat(label, rows, inside, task)
        else:
            finding = _pure(label, rows, inside, task, is_presence)
        if finding is not None:
            found.append(finding)
    return sorted(found, key=lambda one: -one.strength), tries


def _subgroups(
    column: Column, codes: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.bool_], bool]]:
    """The subgroups, their rows, and whether only that a value is known defines them."""
    counts = np.bincount(codes, minlength=len(column.distinct))
    # That a value is missing tells something in few rows, too: cancelled flights have no plane.
    share = np.where(column.is_missing, 0, _SHARE * len(codes))
    many = (counts >= np.maximum(share, MIN_ROWS)) & (counts < len(codes))
    for code in np.flatnonzero(many):
        value = column.distinct[code]
        if column.is_missing[code]:
            what = "missing"
        else:
            what = f"= {value:g}" if column.is_number else f"= {shown(value)}"
        yield f"{brief(column.name)} {what}", codes == code, False
    is_known = ~column.is_missing[codes]
    # One value alone is a subgroup already.
    several = (~column.is_missing & (counts > 0)).sum() > 1
    if several and min(is_known.sum(), (~is_known).sum()) >= MIN_ROWS:
        yield f"{brief(column.name)} known", is_known, True


def _flat(
    label: NDArray[np.float64], rows: NDArray[np.bool_], where: str, task: Task
) -> Subgroup | None:
    """A subgroup of amounts that are all about the same."""
    if rows.mean() < _SHARE:
        return None
    low = np.quantile(label, _EXTREME, method="higher")
    label = label.clip(low, np.quantile(label, 1 - _EXTREME, method="lower"))
    if label[rows].var() >= _LITTLE_VARIANCE * label.var():
        return None
    # Of two variances that differ by so much, chance is no explanation.
    return Subgroup(where, f"{task.name} hardly varies", _between(label, rows), 0.0)


def _pure(
    label: NDArray[np.float64],
    rows: NDArray[np.bool_],
    where: str,
    task: Task,
    is_presence: bool,
) -> Subgroup | None:
    """A subgroup of one class, or without another one."""
    best = None
    for target in [1] if task.kind == "binary" else range(task.units):
        is_target = label == target
        here, elsewhere = is_target[rows].mean(), is_target[~rows].mean()
        never = _is_rare(here, elsewhere) and task.kind == "binary"
        always = _is_rare(1 - here, 1 - elsewhere)
        gain = _between(is_target.astype(np.float64), rows)
        if not ((never or always) and gain >= _GAIN) and not (
            is_presence and gain >= _PRESENCE_GAIN
        ):
            continue
        counted = is_target if here < elsewhere else ~is_target
        p_value = stats.hypergeom.cdf(counted[rows].sum(), len(label), counted.sum(), rows.sum())
        name = 1 if task.kind == "binary" else shown(task.class_names[target])
        shares = f"in {here:.2%} of these rows, in {is_target.mean():.0%} of all"
        one = Subgroup(where, f"{task.name} is {name} {shares}", gain, float(p_value))
        if best is None or one.strength > best.strength:
            best = one
    return best


def _is_rare(here: float, elsewhere: float) -> bool:
    return here < _RARE and elsewhere >= max(_RARE_ELSEWHERE, _TIMES_AS_MANY * here)


def _between(label: NDArray[np.float64], rows: NDArray[np.bool_]) -> float:
    """The share of the variance that is between the rows and the others."""
    share = rows.mean()
    if label.var() == 0:
        return 0.0
    difference = label[rows].mean() - label[~rows].mean()
    return float(share * (1 - share) * difference**2 / label.var())
