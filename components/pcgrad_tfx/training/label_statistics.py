"""Location and scale of the labels, so that the tasks' losses are of one order of magnitude."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.log_scale import to_log
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

    @property
    def loss_scale(self) -> float:
        """Turns a mean squared error into one of the standardized label."""
        return 1 / self.std**2


def label_statistics(
    dataset: tf.data.Dataset,
    tasks: Sequence[Task],
    embedding_sizes: Mapping[str, int] | None = None,
) -> tuple[int, dict[str, LabelStatistics]]:
    """Passes over the training data once.

    Args:
        dataset: Batches of (features, labels by task's name), NaN where a label is missing.
        tasks: The tasks.
        embedding_sizes: By feature the number of its ids, where these are to be checked.

    Returns:
        The number of rows, and the statistics of each regression task by name.

    Raises:
        ValueError: A label or an id is out of its limits.
    """
    limited = limits(tasks, embedding_sizes)
    regressions = {task.name: task for task in tasks if task.kind == "regression"}
    names = list(regressions)

    def known_labels(labels: dict[str, tf.Tensor], name: str) -> tf.Tensor:
        label = labels[name]
        known = tf.boolean_mask(label, tf.math.is_finite(label))
        return to_log(known) if regressions[name].log_scale else known

    # Sums of differences from the first batch's mean: sums of squares would cancel.
    origin = dict.fromkeys(names, 0.0)
    for _, labels in dataset.take(1):
        for name in names:
            known = known_labels(labels, name)
            origin[name] = float(tf.reduce_mean(known)) if len(known) else 0.0

    def count(
        state: tuple[tf.Tensor, tf.Tensor],
        batch: tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        features, labels = batch
        rows = tf.shape(next(iter(labels.values())))[0]
        sums = [tf.stack([tf.cast(rows, tf.float64), 0.0, 0.0])]
        for name in names:
            known = tf.cast(known_labels(labels, name), tf.float64) - origin[name]
            size = tf.cast(tf.size(known), tf.float64)
            sums.append(tf.stack([size, tf.reduce_sum(known), tf.reduce_sum(known**2)]))
        so_far, lowest = state
        return so_far + tf.stack(sums), tf.minimum(lowest, extremes(limited, features, labels))

    initial = (
        tf.zeros([1 + len(names), 3], tf.float64),
        tf.fill([len(limited), 2], tf.constant(math.inf, tf.float64)),
    )
    counted, lowest = dataset.reduce(initial, count)
    check_limits(limited, lowest)
    (rows, _, _), *sums = counted.numpy().tolist()
    statistics = {}
    for name, (size, total, squares) in zip(names, sums, strict=True):
        offset = total / size if size else 0.0
        variance = squares / size - offset**2 if size else 0.0
        deviation = math.sqrt(variance) if variance > 0 else 1.0
        statistics[name] = LabelStatistics(origin[name] + offset, deviation)
    return int(rows), statistics
