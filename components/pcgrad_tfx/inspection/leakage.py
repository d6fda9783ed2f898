"""Features that give a label away: alone, two of them together, or within a subgroup of the rows.

A column that is written after the fact makes a model that is excellent on every split and useless
in practice. Three things speak for one, and none proves it, so they are reported and nothing else:

- A decision tree on the column alone predicts the task almost perfectly.
- A sum, difference, product or ratio of two columns is the label.
- In a subgroup that the column alone defines the label hardly varies although it does elsewhere:
  cash trips have no tips, because tips are recorded for card payments only.

With hundreds of columns something looks like a leak by chance. What is reported is significant
after Holm's correction over all that was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn import config_context
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from statsmodels.stats.multitest import multipletests

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.errors import shown
from pcgrad_tfx.inspection.label_values import numbers
from pcgrad_tfx.inspection.subgroups import MIN_ROWS, Column, find_subgroups
from pcgrad_tfx.inspection.sums import find_pairs

MAX_ROWS = 50_000
# So many are printed: who reads a list of twenty?
MOST_LEAKS = 10

# What "almost perfectly" is, for AUC and R².
_ALMOST_PERFECT = 0.98
# Of Holm's test: one false line in a hundred tables, where all is chance.
_LEVEL = 0.01

# So many rows, from all over the table, are fitted first; a fit that is not even as good as this is
# not worth a cross-validation.
_FITTED_ROWS = 2000
_WELL = 0.9

_KNOWN_NUMBERS = 0.95
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
        score: AUC or R² of the column, or of two together; None for a subgroup.
        subgroup: The subgroup, as "payment_type = 'Cash' (65% of the rows)"; None for the column
            as a whole.
        other: The feature that gives the label away together with this one, or the other task whose
            label does; None where the column does so alone.
        with_label: Whether `other` is a task.
        strength: From 0 to 1, to order leaks by: R², 2 · AUC − 1, or the share of the label's
            variance between the subgroup and the other rows.
        p_value: Of the hypothesis that it is chance; not corrected.
    """

    column: str
    task: str
    finding: str
    score: float | None = None
    subgroup: str | None = None
    other: str | None = None
    with_label: bool = False
    strength: float = 0.0
    p_value: float = 0.0

    def __str__(self) -> str:
        if self.subgroup:
            return f"within {self.subgroup} {self.finding}"
        if self.other is not None:
            other = f"the label of {self.other}" if self.with_label else shown(self.other)
            return f"{shown(self.column)} and {other} {self.finding}"
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
        What was found, the strongest first.
    """
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    numeric = {*features.numeric, *features.bucketized}
    columns = [
        Column(name, numbers(frame[name]) if name in numeric else frame[name].to_numpy())
        for name in features.columns
    ]
    leaks: list[Leak] = []
    tries = 0
    for task in tasks:
        label = labels.loc[frame.index, task.name].to_numpy()
        label = np.log1p(label) if task.log_scale else label
        known = np.isfinite(label)
        if known.sum() < MIN_ROWS or len(np.unique(label[known])) < 2:
            continue
        for column in columns:
            leak, looked_at = _column_leak(column, known, task, label[known])
            tries += looked_at
            leaks += [] if leak is None else [leak]
    leaks = _significant(leaks, tries)
    leaks += _made_up(frame, columns, tasks)
    return sorted(leaks, key=lambda leak: -leak.strength)


def _significant(leaks: Sequence[Leak], tries: int) -> list[Leak]:
    """Those that are none by chance, when so many are looked at."""
    p_values = [leak.p_value for leak in leaks] + [1.0] * (tries - len(leaks))
    if not leaks:
        return []
    rejected, *_ = multipletests(p_values, _LEVEL, method="holm")
    return [leak for leak, is_one in zip(leaks, rejected, strict=False) if is_one]


def _column_leak(
    column: Column, known: NDArray[np.bool_], task: Task, label: NDArray[np.float64]
) -> tuple[Leak | None, int]:
    """The strongest leak of a column, and how many were looked for."""
    if column.numbers is None:
        # The rare categories share one number.
        feature = np.minimum(column.codes, _CATEGORIES)[known]
    else:
        feature = _ordered(column.numbers)[known]
    score = _score_alone(feature, column.is_number, task, label)
    if column.numbers is not None and task.kind == "regression":
        # A tree is coarse where amounts are far apart; the same amount in another unit is not.
        score = max(score, _linear_score(column.numbers[known], label))
    subgroups, tries = find_subgroups(column, known, task, label)
    if score >= _ALMOST_PERFECT:
        metric, strength = ("R²", score) if task.kind == "regression" else ("AUC", 2 * score - 1)
        finding = f"predicts {task.name} almost perfectly ({metric} {score:.3f})"
        p_value = 0.0 if task.kind == "regression" else _p_value(score, label)
        leak = Leak(column.name, task.name, finding, score, strength=strength, p_value=p_value)
        return leak, tries + 1
    if not subgroups:
        return None, tries + 1
    best = subgroups[0]
    return (
        Leak(
            column.name,
            task.name,
            best.finding,
            subgroup=best.where,
            strength=best.strength,
            p_value=best.p_value,
        ),
        tries + 1,
    )


def _p_value(auc: float, label: NDArray[np.float64]) -> float:
    """Of an AUC by chance, of the rarest class against the others: Mann and Whitney's test."""
    _, counts = np.unique(label, return_counts=True)
    fewer = int(counts.min())
    others = len(label) - fewer
    std = np.sqrt((len(label) + 1) / (12 * fewer * others))
    return float(stats.norm.sf((auc - 0.5) / std))


def _made_up(frame: pd.DataFrame, columns: Sequence[Column], tasks: Sequence[Task]) -> list[Leak]:
    """Labels that two columns make up, the other labels among them."""
    features = {column.name: column.numbers for column in columns if column.numbers is not None}
    amounts = {task.name: _amount(frame, task) for task in tasks if not task.is_text}
    leaks: dict[tuple[str, str, frozenset[str]], Leak] = {}
    for name, target in amounts.items():
        others = {other: amount for other, amount in amounts.items() if other != name}
        for pair in find_pairs(target, features, others):
            leak = Leak(
                pair.first,
                name,
                f"together make {name} up (R² {pair.score:.3f} of their {pair.how})",
                score=pair.score,
                other=pair.second,
                with_label=pair.is_label,
                strength=pair.score,
            )
            # What a column and two labels have to do with each other is one relation.
            of = frozenset([pair.second, name]) if pair.is_label else frozenset([name])
            leaks.setdefault((pair.first, "" if pair.is_label else pair.second, of), leak)
    return list(leaks.values())


def _amount(frame: pd.DataFrame, task: Task) -> NDArray[np.float64]:
    """The number that a label is made of."""
    amount = numbers(frame[task.column])
    if task.divide_by is None:
        return amount
    divisor = numbers(frame[task.divide_by])
    return amount / np.where(divisor > 0, divisor, np.nan)


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
        if is_number and task.kind != "regression":
            # As good as a tree where only ranks count, and no search.
            codes = _quantile_codes(feature[some])
            predicted = _means_by_value(codes, targets[some], codes)
        else:
            predicted = predictions(some, some)
        fit = _score(task, targets[some], predicted)
        if fit < _WELL:
            return fit
    predicted = np.empty_like(targets)
    for train, test in KFold(_FOLDS, shuffle=True, random_state=0).split(feature):
        predicted[test] = predictions(train, test)
    return _score(task, targets, predicted)


def _quantile_codes(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers put into bins of as many rows each."""
    edges = np.quantile(values, np.linspace(0, 1, _LEAVES + 1)[1:-1])
    return np.searchsorted(np.unique(edges), values)


def _score(task: Task, targets: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """AUC, over the classes on average, or R²."""
    if task.kind == "regression":
        return float(r2_score(targets[:, 0], predicted[:, 0]))
    # Mann and Whitney's, of all classes at once: scikit-learn checks its input for every class.
    positive = targets.sum(axis=0)
    both = (positive > 0) & (positive < len(targets))
    targets, predicted, positive = targets[:, both], predicted[:, both], positive[both]
    ranks = (stats.rankdata(predicted, axis=0) * targets).sum(axis=0)
    pairs = positive * (len(targets) - positive)
    return float(np.mean((ranks - positive * (positive + 1) / 2) / pairs))


def _linear_score(values: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    """R² of a straight line, if there are values in nearly all rows."""
    known = np.isfinite(values)
    if known.mean() < _KNOWN_NUMBERS or values[known].std() == 0 or label[known].std() == 0:
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
    # Thousands of small trees: what scikit-learn checks each time takes as long as they do.
    with config_context(assume_finite=True, skip_parameter_validation=True):
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
