"""Features that give a label away: alone, or within a subgroup of the rows.

A column that is written after the fact makes a model that is excellent on every split and useless
in practice. Two things speak for one, and neither proves it, so they are reported and nothing else:

- A decision tree on the column alone predicts the task almost perfectly.
- In a subgroup that the column alone defines the label hardly varies although it does elsewhere:
  cash trips have no tips, because tips are recorded for card payments only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from pcgrad_tfx.errors import brief, shown
from pcgrad_tfx.features import Features
from pcgrad_tfx.tasks import Task

MAX_ROWS = 50_000

# What "almost perfectly" is, for AUC and R².
_ALMOST_PERFECT = 0.98
# A subgroup's share of the rows, and within it the share of the rarer label or, of an amount, its
# variance relative to that of all rows.
_SUBGROUP_SHARE = 0.05
_RARE = 0.01
_LITTLE_VARIANCE = 0.001
# A label that is rare everywhere is rare in a subgroup, too.
_RARE_EVERYWHERE = 0.05
# By the label's share of all rows a subgroup would have so many rows of the label that it lacks:
# by chance it has none of them in one case of 20,000.
_EXPECTED_ROWS = 10

_MIN_ROWS = 30
_FOLDS = 3
_LEAVES = 64
_CATEGORIES = 1000


@dataclass(frozen=True)
class Leak:
    """A feature that may give a label away.

    Attributes:
        column: The feature.
        task: The task's name.
        finding: What holds, in words.
        score: AUC or R² of the column alone; None for a subgroup.
        subgroup: The subgroup, as "payment_type = 'Cash' (65% of the rows)"; None for the column
            as a whole.
    """

    column: str
    task: str
    finding: str
    score: float | None = None
    subgroup: str | None = None

    def __str__(self) -> str:
        if self.subgroup:
            return f"within {self.subgroup} {self.finding}"
        return f"{shown(self.column)} alone {self.finding}"


def find_leaks(frame: pd.DataFrame, features: Features, tasks: Sequence[Task]) -> list[Leak]:
    """Looks at every feature and task.

    Args:
        frame: A sample of the rows: texts, empty where a value is missing. Of more than `MAX_ROWS`
            rows some are drawn.
        features: The features; numeric and bucketized ones are taken for numbers.
        tasks: The tasks, complete.

    Returns:
        What was found, the whole columns first.
    """
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    numbers = {*features.numeric, *features.bucketized}
    columns = {
        name: _numbers(frame[name]) if name in numbers else frame[name].to_numpy()
        for name in features.columns
    }
    leaks: list[Leak] = []
    for task in tasks:
        label = label_values(frame, task)
        known = np.isfinite(label)
        if known.sum() < _MIN_ROWS or len(np.unique(label[known])) < 2:
            continue
        for name, values in columns.items():
            leaks += _column_leaks(name, values[known], task, label[known])
    return sorted(leaks, key=lambda leak: leak.subgroup is not None)


def label_values(frame: pd.DataFrame, task: Task) -> NDArray[np.float64]:
    """A task's label as Transform computes it: numbers, classes by their ids, NaN where missing.

    Args:
        frame: Rows of texts, empty where a value is missing.
        task: The task, complete.

    Returns:
        float64 [N]; of a task with `log_scale` the logarithm.
    """
    column = frame[task.column]
    if task.is_text:
        names = column.where(pd.to_numeric(column, errors="coerce").isna(), column.map(_plain))
        if task.positive is not None:
            return np.where(column == "", np.nan, names == task.positive)
        ids = {name: float(i) for i, name in enumerate(task.classes or ())}
        return names.map(ids).to_numpy(np.float64)
    value = _numbers(column)
    valid = np.isfinite(value)
    if task.valid_above is not None:
        valid &= value > task.valid_above
    if task.divide_by is not None:
        divisor = _numbers(frame[task.divide_by])
        valid &= divisor > 0
        value = np.divide(value, divisor, out=np.zeros_like(value), where=divisor > 0)
    if task.above is not None:
        value = (value > task.above).astype(np.float64)
    elif task.kind == "binary":
        valid &= (value == 0) | (value == 1)
    elif task.log_scale:
        valid &= value >= 0
        value = np.log1p(np.maximum(value, 0))
    return np.where(valid, value, np.nan)


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)


def _plain(value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() else value


def _column_leaks(
    name: str, values: NDArray[Any], task: Task, label: NDArray[np.float64]
) -> Iterator[Leak]:
    is_number = values.dtype.kind == "f"
    codes = _ordered(values) if is_number else _codes(values)
    score = _score_alone(codes, is_number, task, label)
    if is_number and task.kind == "regression":
        # A tree is coarse where amounts are far apart; the same amount in another unit is not.
        score = max(score, _linear_score(values, label))
    if score >= _ALMOST_PERFECT:
        metric = "R²" if task.kind == "regression" else "AUC"
        yield Leak(
            name,
            task.name,
            f"predicts {task.name} almost perfectly ({metric} {score:.3f})",
            score=score,
        )
        return
    for subgroup, rows in _subgroups(name, values):
        if finding := _hardly_varies(label, rows, task):
            where = f"{subgroup} ({rows.mean():.0%} of the rows)"
            yield Leak(name, task.name, finding, subgroup=where)


def _ordered(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers with a missing one as a value of its own, below all others."""
    known = values[np.isfinite(values)]
    low = known.min() - 1 if len(known) else 0.0
    return np.where(np.isfinite(values), values, low)


def _codes(values: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers of the categories, the frequent ones first; the rare ones share one."""
    counts = pd.Series(values).value_counts()
    places = {value: min(place, _CATEGORIES) for place, value in enumerate(counts.index)}
    return pd.Series(values).map(places).to_numpy(np.int64)


def _score_alone(
    codes: NDArray[Any], is_number: bool, task: Task, label: NDArray[np.float64]
) -> float:
    """Cross-validated AUC (over the classes on average) or R² of the column alone."""
    targets = np.eye(task.units)[label.astype(int)] if task.kind == "multiclass" else label[:, None]
    predicted = np.empty_like(targets)
    for train, test in KFold(_FOLDS, shuffle=True, random_state=0).split(codes):
        if is_number:
            predicted[test] = _tree(task, codes[train], label[train], codes[test], targets[train])
        else:
            predicted[test] = _means_by_value(codes[train], targets[train], codes[test])
    if task.kind == "regression":
        return float(r2_score(label, predicted[:, 0]))
    scores = [
        roc_auc_score(target, column)
        for target, column in zip(targets.T, predicted.T, strict=True)
        if 0 < target.sum() < len(target)
    ]
    return float(np.mean(scores))


def _linear_score(values: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    """R² of a straight line, if there are values in nearly all rows."""
    known = np.isfinite(values)
    if known.mean() < 1 - _SUBGROUP_SHARE or values[known].std() == 0 or label[known].std() == 0:
        return 0.0
    return float(np.corrcoef(values[known], label[known])[0, 1] ** 2)


def _tree(
    task: Task,
    train: NDArray[Any],
    label: NDArray[np.float64],
    test: NDArray[Any],
    targets: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Predictions of a small tree, the mean of the targets in each leaf."""
    kind = DecisionTreeRegressor if task.kind == "regression" else DecisionTreeClassifier
    tree = kind(max_leaf_nodes=_LEAVES, min_samples_leaf=5, random_state=0)
    tree.fit(train[:, None], label)
    return _means_by_value(tree.apply(train[:, None]), targets, tree.apply(test[:, None]))


def _means_by_value(
    train: NDArray[Any], targets: NDArray[np.float64], test: NDArray[Any]
) -> NDArray[np.float64]:
    """The mean of the targets [N, K] of each value; that of all where the value is new."""
    size = int(max(train.max(), test.max())) + 1
    counts = np.bincount(train, minlength=size)[:, None]
    sums = np.stack([np.bincount(train, column, size) for column in targets.T], axis=1)
    # One row of the mean of all, so that a value that was seen once is no certainty.
    means = (sums + targets.mean(axis=0)) / (counts + 1)
    return means[test]


def _subgroups(name: str, values: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The values that many rows have, a missing one among them.

    Not ranges of numbers: at the end of a good feature's range the label often does not vary.
    """
    counts = pd.Series(values).value_counts(dropna=False)
    for value, count in counts.items():
        is_missing = pd.isna(value) or value == ""
        # That a value is missing tells something in few rows, too: cancelled flights have no plane.
        least = _MIN_ROWS if is_missing else max(_SUBGROUP_SHARE * len(values), _MIN_ROWS)
        if count < least or count == len(values):
            continue
        if pd.isna(value):
            yield f"{brief(name)} missing", pd.isna(values)
        else:
            equal = f"= {value:g}" if values.dtype.kind == "f" else f"= {shown(value)}"
            yield f"{brief(name)} {equal if value != '' else 'missing'}", values == value


def _hardly_varies(label: NDArray[np.float64], rows: NDArray[np.bool_], task: Task) -> str | None:
    if task.kind == "regression":
        if rows.mean() >= _SUBGROUP_SHARE and label[rows].var() < _LITTLE_VARIANCE * label.var():
            return f"{task.name} hardly varies"
        return None
    targets = [1] if task.kind == "binary" else range(task.units)
    for target in targets:
        everywhere, here = np.mean(label == target), np.mean(label[rows] == target)
        never = here < _RARE and everywhere >= max(_RARE_EVERYWHERE, _EXPECTED_ROWS / rows.sum())
        others = 1 - everywhere
        always = here > 1 - _RARE and others >= max(_RARE_EVERYWHERE, _EXPECTED_ROWS / rows.sum())
        shares = f"in {here:.2%} of these rows, in {everywhere:.0%} of all"
        if task.kind == "binary" and (never or always):
            return f"{task.name} is 1 {shares}"
        if task.classes and always:
            return f"{task.name} is {shown(task.classes[target])} {shares}"
    return None
