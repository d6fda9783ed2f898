"""The tasks' primary metrics, exact, from predictions: what the Evaluator computes with TFMA."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn import metrics

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.model import outputs_by_task

Values: TypeAlias = npt.NDArray[Any]


class Scorer:
    """Evaluates a model, as often as wanted, with the weights that it has then.

    Args:
        model: From features to an output for each task.
        tasks: Those that the model has outputs for.
    """

    def __init__(self, model: MultiTaskModel, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._predict = tf.function(
            lambda features: outputs_by_task(model, model(features, training=False))
        )

    def scores(self, batches: tf.data.Dataset) -> dict[str, float | None]:
        """Each task's primary metric on the labelled rows, weighted.

        Args:
            batches: (features, labels by task), NaN where a label is missing; with weights by task
                if some task has any.

        Returns:
            By task; None where it is undefined.
        """
        # Traced for any number of rows; TensorFlow would warn of the next models' calls otherwise.
        predict = self._predict.get_concrete_function(batches.element_spec[0])
        found: dict[str, list[tuple[Values, ...]]] = {task.name: [] for task in self._tasks}
        for features, labels, *weights in batches:
            by_task = (labels, predict(features), *weights)
            for name, parts in found.items():
                parts.append(tuple(values[name].numpy() for values in by_task))
        return {
            task.name: primary_metric(
                task, *(np.concatenate(parts) for parts in zip(*found[task.name], strict=True))
            )
            for task in self._tasks
        }


def primary_metric(
    task: Task, labels: Values, predictions: Values, weights: Values | None = None
) -> float | None:
    """A task's primary metric.

    Args:
        task: The task.
        labels: [N], NaN where missing.
        predictions: [N, units].
        weights: [N], not negative; without them all rows count the same.

    Returns:
        AUC for a binary task, its mean over the classes, each against the rest, for a multiclass
        task, R² for a regression; None where the labels do not vary.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    counts = np.isfinite(labels) & (weights > 0)
    labels, predictions, weights = (
        values[counts].astype(np.float64) for values in (labels, predictions, weights)
    )
    if task.per_class:
        aucs = (_auc(labels == c, predictions[:, c], weights) for c in range(task.units))
        return mean_defined(aucs)
    predictions = predictions.reshape(len(labels))
    if task.primary_metric.name == "auc":
        return _auc(labels > 0, predictions, weights)
    if len(labels) < 2 or labels.min() == labels.max():
        return None
    value = float(metrics.r2_score(labels, predictions, sample_weight=weights))
    return value if math.isfinite(value) else None


def _auc(positive: npt.NDArray[np.bool_], predictions: Values, weights: Values) -> float | None:
    if positive.all() or not positive.any():
        return None
    return float(metrics.roc_auc_score(positive, predictions, sample_weight=weights))


def mean_defined(values: Iterable[float | None]) -> float | None:
    """The mean of those values that are defined; None without any."""
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None
