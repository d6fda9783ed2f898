"""The tasks' primary metrics, exact, from predictions: what the Evaluator computes with TFMA."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn import metrics

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.comparison.statistics import mean_defined
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.model import outputs_by_task

Values: TypeAlias = npt.NDArray[Any]


def score(
    model: MultiTaskModel, batches: tf.data.Dataset, tasks: Sequence[Task]
) -> dict[str, float | None]:
    """Evaluates a model.

    Args:
        model: From features to an output for each task.
        batches: (features, labels by task), NaN where a label is missing.
        tasks: Those that the model has outputs for.

    Returns:
        Each task's primary metric on the labelled rows; None where it is undefined.
    """

    @tf.function(reduce_retracing=True)
    def predict(features: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return outputs_by_task(model, model(features, training=False))

    labels: dict[str, list[Values]] = {task.name: [] for task in tasks}
    predictions: dict[str, list[Values]] = {task.name: [] for task in tasks}
    for features, of_batch in batches:
        outputs = predict(features)
        for task in tasks:
            labels[task.name].append(of_batch[task.name].numpy())
            predictions[task.name].append(outputs[task.name].numpy())
    return {
        task.name: primary_metric(
            task, np.concatenate(labels[task.name]), np.concatenate(predictions[task.name])
        )
        for task in tasks
    }


def primary_metric(task: Task, labels: Values, predictions: Values) -> float | None:
    """A task's primary metric.

    Args:
        task: The task.
        labels: [N], NaN where missing.
        predictions: [N, units].

    Returns:
        AUC for a binary task, its mean over the classes, each against the rest, for a multiclass
        task, R² for a regression; None where the labels do not vary.
    """
    known = np.isfinite(labels)
    labels, predictions = labels[known].astype(np.float64), predictions[known].astype(np.float64)
    if task.per_class:
        return mean_defined(_auc(labels == c, predictions[:, c]) for c in range(task.units))
    predictions = predictions.reshape(len(labels))
    if task.primary_metric.name == "auc":
        return _auc(labels > 0, predictions)
    if len(labels) < 2 or labels.min() == labels.max():
        return None
    value = float(metrics.r2_score(labels, predictions))
    return value if math.isfinite(value) else None


def _auc(positive: npt.NDArray[np.bool_], predictions: Values) -> float | None:
    if positive.all() or not positive.any():
        return None
    return float(metrics.roc_auc_score(positive, predictions))
