"""scikit-learn's HistGradientBoosting, as it is, for one task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.network.log_scale import from_log, to_log

Values: TypeAlias = npt.NDArray[Any]

# What it can tell apart of a category.
_MOST_IDS = 255


@dataclasses.dataclass(frozen=True)
class Rows:
    """Transformed rows.

    Attributes:
        features: [N, F], float32.
        labels: By task [N], NaN where missing.
        weights: By task [N], not negative.
    """

    features: Values
    labels: Mapping[str, Values]
    weights: Mapping[str, Values]


def collect(
    batches: Iterable[Sequence[Any]], categorical: Sequence[str], split: str
) -> tuple[Rows, Values]:
    """Puts batches together.

    Args:
        batches: (features, labels by task), as of `InputData`; with weights by task if some task
            has any.
        categorical: The features that hold ids, by decreasing frequency.
        split: Which split it is.

    Returns:
        The rows, and which of their columns hold ids, bool [F]. The rarest ids share the last one
        that scikit-learn's trees can tell apart.

    Raises:
        ValueError: There is no batch.
    """
    values, labels, weights = [], [], []
    for features, by_task, *given in batches:
        columns = [np.asarray(column, np.float32) for column in features.values()]
        values.append(np.stack([column.reshape(-1) for column in columns], axis=1))
        labels.append(by_task)
        weights.append(given[0] if given else {t: np.ones(len(v)) for t, v in by_task.items()})
        is_category = np.array([name in categorical for name in features])
    if not values:
        raise ValueError(f"reference: split {split!r} is empty; add data or change the splits")
    whole = np.concatenate(values)
    whole[:, is_category] = np.minimum(whole[:, is_category], _MOST_IDS - 1)
    return Rows(whole, _joined(labels), _joined(weights)), is_category


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
    return {
        name: np.concatenate([np.asarray(part[name], np.float64) for part in parts])
        for name in parts[0]
    }


def predict(task: Task, train: Rows, test: Rows, is_category: Values) -> Values | None:
    """Learns a task from the rows of train that have a label and a weight.

    Args:
        task: The task.
        train: To learn from; early stopping holds out a part of it.
        test: To predict.
        is_category: Which features hold ids, bool [F].

    Returns:
        [N, units], predictions for test: of a regression in the label's unit, else probabilities.
        None without any row to learn from.
    """
    label, weight = train.labels[task.name], train.weights[task.name]
    known = np.isfinite(label) & (weight > 0)
    if task.kind != "regression":
        # Of a class with one row, scikit-learn cannot hold out a part.
        ids, counts = np.unique(label[known], return_counts=True)
        known &= np.isin(label, ids[counts > 1])
    features, label, weight = train.features[known], label[known], weight[known]
    if not len(label):
        return None
    predictions = np.zeros([len(test.features), task.units])
    if task.kind != "regression" and label.min() == label.max():
        return predictions
    settings = {"categorical_features": is_category, "random_state": 0}
    # Where other processes keep the cores busy, its threads wait for each other: up to ten times
    # as long as one takes.
    with threadpool_limits(1, user_api="openmp"):
        if task.kind == "regression":
            trees = HistGradientBoostingRegressor(**settings)
            trees.fit(features, np.asarray(to_log(label)) if task.log_scale else label, weight)
            found = trees.predict(test.features)
            predictions[:, 0] = np.asarray(from_log(found)) if task.log_scale else found
        else:
            trees = HistGradientBoostingClassifier(**settings).fit(features, label, weight)
            found = trees.predict_proba(test.features)
            if task.kind == "binary":
                predictions[:, 0] = found[:, 1]
            else:
                predictions[:, trees.classes_.astype(int)] = found
    return predictions
