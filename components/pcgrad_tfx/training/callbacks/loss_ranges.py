"""What the tasks' losses can be on given labels: that of a constant, that of a perfect prediction.

By them a loss becomes a share: of the variance for squared errors, of the entropy for classes, of
the deviance for counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import optimize

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.losses import scale_loss
from pcgrad_tfx.training.network.log_scale import to_log

Values: TypeAlias = npt.NDArray[np.float64]

# A probability that has a logarithm.
_TINY = 1e-6


@dataclasses.dataclass(frozen=True)
class LossRange:
    """The range of a task's loss.

    Attributes:
        constant: That of the best constant prediction.
        perfect: That of a perfect prediction.
    """

    constant: float
    perfect: float = 0.0

    def gain(self, loss: float) -> float:
        """The gain over the constant prediction: 0 for that, 1 for a perfect one."""
        return (self.constant - loss) / (self.constant - self.perfect)


def loss_ranges(
    tasks: Sequence[Task],
    statistics: Mapping[str, LabelStatistics],
    batches: Iterable[tuple[Mapping[str, tf.Tensor], ...]],
) -> dict[str, LossRange]:
    """The ranges of the tasks' losses.

    Args:
        tasks: The tasks.
        statistics: Of the regression labels, by task, as `task_loss` takes them.
        batches: The labels by task, [N], NaN where one is missing; and their weights, if there are
            any.

    Returns:
        By task, as Keras computes a loss: the weighted sum by the number of labelled rows. Without
        tasks whose labels are missing or all the same.
    """
    parts: dict[str, list[Values]] = {task.name: [np.empty([2, 0])] for task in tasks}
    for labels, *weights in batches:
        for name, values in parts.items():
            label = np.asarray(labels[name], np.float64)
            weight = np.asarray(weights[0][name]) if weights else np.ones_like(label)
            values.append(np.stack([label, weight]))
    found = {}
    for task in tasks:
        label, weight = np.concatenate(parts[task.name], axis=1)
        known = np.isfinite(label)
        label, weight = label[known], weight[known]
        if len(np.unique(label[weight > 0])) < 2:
            continue
        loss = scale_loss(task, statistics.get(task.name))
        range_ = _of_amounts if task.kind == "regression" else _of_classes
        found[task.name] = range_(task, loss, label, weight)
    return found


def _of_amounts(task: Task, loss: keras.losses.Loss, label: Values, weight: Values) -> LossRange:
    if task.log_scale:
        label = np.asarray(to_log(label))

    def mean(prediction: Any) -> float:
        predicted = np.broadcast_to(prediction, label.shape)
        values = loss.call(tf.constant(label[:, np.newaxis]), tf.constant(predicted[:, np.newaxis]))
        return float(np.mean(weight * np.asarray(values)))

    if task.loss == "mean_absolute_error":
        order = np.argsort(label)
        half = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
        constant = mean(label[order][half])
    elif task.loss == "huber":
        limits = label.min(), label.max()
        constant = optimize.minimize_scalar(mean, bounds=limits, method="bounded").fun
    else:
        constant = mean(np.average(label, weights=weight))
    return LossRange(float(constant), mean(label))


def _of_classes(task: Task, loss: keras.losses.Loss, label: Values, weight: Values) -> LossRange:
    classes = len(task.class_names)
    if task.kind == "binary":
        # One that is no label of ours may lie between 0 and 1.
        counts = np.array([np.sum(weight * (1 - label)), np.sum(weight * label)])
    else:
        counts = np.bincount(label.astype(int), weight, classes)
    ids = tf.range(classes, dtype=tf.float64)
    smoothing = task.label_smoothing
    targets = (1 - smoothing) * np.eye(classes) + smoothing / classes

    def mean(probabilities: tf.Tensor) -> tf.Tensor:
        """Of the rows, by the probabilities [classes, classes] that those of each class get."""
        given = (ids, probabilities)
        if task.kind == "binary":
            given = (ids[:, tf.newaxis], probabilities[:, 1:])
        return tf.reduce_sum(counts * loss.call(*given)) / len(label)

    def of_constant(logits: Values) -> tuple[float, Values]:
        variable = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(variable)
            value = mean(tf.tile(tf.nn.softmax(variable)[tf.newaxis], [classes, 1]))
        return float(value), tape.gradient(value, variable).numpy()

    # But for a focal loss the shares of the classes are the best already.
    shares = np.maximum(counts @ targets / counts.sum(), _TINY)
    best = optimize.minimize(of_constant, np.log(shares), jac=True)
    return LossRange(float(best.fun), float(mean(tf.constant(targets))))
