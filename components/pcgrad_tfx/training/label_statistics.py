"""What the training data say of labels and weights, so that the tasks' losses are of one size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.network.log_scale import to_log
from pcgrad_tfx.training.value_limits import check_limits, extremes, limits


@dataclasses.dataclass(frozen=True)
class LabelStatistics:
    """A regression label over the training data, on the scale on which it is learned.

    That is the label's own unit, or log(1 + label) if the task has a `log_scale`.

    Attributes:
        mean: 0 without any label.
        std: Standard deviation; 1 where it would be 0.
    """

    mean: float
    std: float


class TrainingStatistics(NamedTuple):
    """The training data, counted.

    Attributes:
        rows: Their number.
        labels: Of each regression task, by name.
        weight_factors: Of each task with weights of rows or classes: what a row's weight is
            multiplied by, for each class or for all. So weights have the mean 1 (before those of
            classes, which may make it another one).
    """

    rows: int
    labels: dict[str, LabelStatistics]
    weight_factors: dict[str, tuple[float, ...]]


def label_statistics(
    dataset: tf.data.Dataset,
    tasks: Sequence[Task],
    embedding_sizes: Mapping[str, int] | None = None,
) -> TrainingStatistics:
    """Passes over the training data once.

    Args:
        dataset: Batches of (features, labels by task's name), NaN where a label is missing; with
            weights by task if some task has any.
        tasks: The tasks.
        embedding_sizes: By feature the number of its ids, where these are to be checked.

    Raises:
        ValueError: A label, a weight, an id or another feature is out of its limits.
    """
    features_spec, *_ = dataset.element_spec
    limited = limits(tasks, embedding_sizes, features_spec)
    with_moments = [task for task in tasks if task.kind == "regression" or task.weight is not None]
    with_counts = [task for task in tasks if task.class_weight == "balanced"]

    # Sums of differences from the first batch's mean: sums of squares would cancel.
    origin = dict.fromkeys((task.name for task in with_moments), 0.0)
    for batch in dataset.take(1):
        for task in with_moments:
            values, _ = _known(task, batch)
            origin[task.name] = float(tf.reduce_mean(values)) if len(values) else 0.0

    def count(state: Mapping[str, Any], batch: tuple[Any, ...]) -> dict[str, Any]:
        features, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        rows = tf.shape(next(iter(labels.values())))[0]
        moments, counts = {}, {}
        for task in with_moments:
            values, weight = _known(task, batch)
            values -= origin[task.name]
            sums = [tf.ones_like(values), weight, weight * values, weight * values**2]
            moments[task.name] = tf.reduce_sum(tf.stack(sums), axis=1)
        for task in with_counts:
            values, _ = _known(task, batch)
            classes = tf.one_hot(tf.cast(values, tf.int32), len(task.class_names), dtype=tf.float64)
            counts[task.name] = tf.reduce_sum(classes, axis=0)
        found = {"rows": tf.cast(rows, tf.int64), "moments": moments, "counts": counts}
        sums = tf.nest.map_structure(tf.add, {name: state[name] for name in found}, found)
        lowest = tf.minimum(state["lowest"], extremes(limited, features, labels, weights))
        return {**sums, "lowest": lowest}

    counted = dataset.reduce(
        {
            "rows": tf.zeros([], tf.int64),
            "moments": {task.name: tf.zeros([4], tf.float64) for task in with_moments},
            "counts": {
                task.name: tf.zeros([len(task.class_names)], tf.float64) for task in with_counts
            },
            "lowest": tf.fill([len(limited), 2], tf.constant(math.inf, tf.float64)),
        },
        count,
    )
    check_limits(limited, counted["lowest"])
    statistics, mean_weights = {}, {}
    for task in with_moments:
        size, weight, total, squares = counted["moments"][task.name].numpy().tolist()
        mean_weights[task.name] = weight / size if weight else 1.0
        offset = total / weight if weight else 0.0
        variance = squares / weight - offset**2 if weight else 0.0
        deviation = math.sqrt(variance) if variance > 0 else 1.0
        if task.kind == "regression":
            statistics[task.name] = LabelStatistics(origin[task.name] + offset, deviation)
    factors = {}
    for task in tasks:
        if task.class_weight is not None or task.weight is not None:
            weights = _class_weights(task, counted["counts"].get(task.name))
            mean = mean_weights.get(task.name, 1.0)
            factors[task.name] = tuple(weight / mean for weight in weights)
    return TrainingStatistics(int(counted["rows"]), statistics, factors)


def _class_weights(task: Task, counts: tf.Tensor | None) -> tuple[float, ...]:
    """The weights of a task's classes; a single one without a `class_weight`.

    Args:
        task: The task.
        counts: How many labelled rows each class has, where the weights are "balanced". As in
            scikit-learn's `compute_class_weight` only the classes that there are count.
    """
    if isinstance(task.class_weight, Mapping):
        return tuple(task.class_weight.get(name, 1.0) for name in task.class_names)
    if counts is None:
        return (1.0,)
    sizes = counts.numpy()
    balanced = sizes.sum() / (np.count_nonzero(sizes) * np.maximum(sizes, 1)) if sizes.any() else 1
    return tuple(np.where(sizes > 0, balanced, 1.0).tolist())


def _known(task: Task, batch: tuple[Any, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    """A task's labels, on the scale on which they are learned, and their weights; float64."""
    _, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
    label = tf.cast(labels[task.name], tf.float64)
    weight = tf.ones_like(label) if weights is None else tf.cast(weights[task.name], tf.float64)
    is_known = tf.math.is_finite(label)
    label, weight = tf.boolean_mask(label, is_known), tf.boolean_mask(weight, is_known)
    return (to_log(label) if task.log_scale else label), weight
