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

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.errors import brief, shown
from pcgrad_tfx.inspection.label_values import numbers

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

# So many rows, from all over the table, are fitted first; a fit that is not even as good as this is
# not worth a cross-validation.
_FITTED_ROWS = 2000
_WELL = 0.9

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


def find_leaks(
    frame: pd.DataFrame, labels: pd.DataFrame, features: Features, tasks: Sequence[Task]
) -> list[Leak]:
    """Looks at every feature and task.

    Args:
        frame: A sample of the rows: texts, empty where a value is missing. Of more than `MAX_ROWS`
            rows some are drawn.
        labels: Their `label_values`.
        features: The features; numeric and bucketized ones are taken for numbers.
        tasks: The tasks, complete.

    Returns:
        What was found, the whole columns first.
    """
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    numeric = {*features.numeric, *features.bucketized}
    columns = [
        _Column(name, numbers(frame[name]) if name in numeric else frame[name].to_numpy())
        for name in features.columns
    ]
    leaks: list[Leak] = []
    for task in tasks:
        label = labels.loc[frame.index, task.name].to_numpy()
        label = np.log1p(label) if task.log_scale else label
        known = np.isfinite(label)
        if known.sum() < _MIN_ROWS or len(np.unique(label[known])) < 2:
            continue
        for column in columns:
            leaks += _column_leaks(column, known, task, label[known])
    return sorted(leaks, key=lambda leak: leak.subgroup is not None)


class _Column:
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
        # What a label is predicted from: the rare categories share one number.
        self.feature = _ordered(values) if self.is_number else np.minimum(self.codes, _CATEGORIES)


def _column_leaks(
    column: _Column, known: NDArray[np.bool_], task: Task, label: NDArray[np.float64]
) -> Iterator[Leak]:
    score = _score_alone(column.feature[known], column.is_number, task, label)
    if column.numbers is not None and task.kind == "regression":
        # A tree is coarse where amounts are far apart; the same amount in another unit is not.
        score = max(score, _linear_score(column.numbers[known], label))
    if score >= _ALMOST_PERFECT:
        metric = "R²" if task.kind == "regression" else "AUC"
        yield Leak(
            column.name,
            task.name,
            f"predicts {task.name} almost perfectly ({metric} {score:.3f})",
            score=score,
        )
        return
    for subgroup, rows in _subgroups(column, column.codes[known]):
        if finding := _hardly_varies(label, rows, task):
            where = f"{subgroup} ({rows.mean():.0%} of the rows)"
            yield Leak(column.name, task.name, finding, subgroup=where)


def _ordered(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers with a missing one as a value of its own, below all others."""
    known = values[np.isfinite(values)]
    low = known.min() - 1 if len(known) else 0.0
    return np.where(np.isfinite(values), values, low)


def _score_alone(
    feature: NDArray[Any], is_number: bool, task: Task, label: NDArray[np.float64]
) -> float:
    """Cross-validated AUC (over the classes on average) or R² of the column alone.

    What does not even fit some of the rows well is not cross-validated.
    """
    targets = np.eye(task.units)[label.astype(int)] if task.kind == "multiclass" else label[:, None]

    def predictions(train: Any, test: Any) -> NDArray[np.float64]:
        if is_number:
            return _tree(task, feature[train], label[train], feature[test], targets[train])
        return _means_by_value(feature[train], targets[train], feature[test])

    some = slice(None, None, -(-len(label) // _FITTED_ROWS))
    if len(np.unique(label[some])) > 1:
        fit = _score(task, targets[some], predictions(some, some))
        if fit < _WELL:
            return fit
    predicted = np.empty_like(targets)
    for train, test in KFold(_FOLDS, shuffle=True, random_state=0).split(feature):
        predicted[test] = predictions(train, test)
    return _score(task, targets, predicted)


def _score(task: Task, targets: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """AUC, over the classes on average, or R²."""
    if task.kind == "regression":
        return float(r2_score(targets[:, 0], predicted[:, 0]))
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


def _subgroups(
    column: _Column, codes: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The values that many rows have, a missing one among them.

    Not ranges of numbers: at the end of a good feature's range the label often does not vary.
    """
    counts = np.bincount(codes, minlength=len(column.distinct))
    # That a value is missing tells something in few rows, too: cancelled flights have no plane.
    share = np.where(column.is_missing, 0, _SUBGROUP_SHARE * len(codes))
    many = (counts >= np.maximum(share, _MIN_ROWS)) & (counts < len(codes))
    for code in np.flatnonzero(many):
        value = column.distinct[code]
        if column.is_missing[code]:
            what = "missing"
        else:
            what = f"= {value:g}" if column.is_number else f"= {shown(value)}"
        yield f"{brief(column.name)} {what}", codes == code


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
