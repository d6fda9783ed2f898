"""The means of the tasks' losses over an epoch: one variable for all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class TaskSums(keras.metrics.Metric):
    """Sums over the labelled rows of all tasks, in one variable that a step updates at once.

    Args:
        tasks: The number of tasks, T.
    """

    def __init__(self, tasks: int) -> None:
        super().__init__(name="task_sums")
        self._sums = self.add_variable((4, tasks), "zeros", name="sums")

    def update_state(
        self,
        losses: Sequence[tf.Tensor],
        weighted: Sequence[tf.Tensor],
        rows: Sequence[tf.Tensor],
        metrics_rows: Sequence[tf.Tensor],
    ) -> None:
        """Counts one step.

        Args:
            losses: The tasks' losses, T means over rows.
            weighted: The same, multiplied by the loss weights.
            rows: How many rows they are means over.
            metrics_rows: How many rows the metrics are of.
        """
        means = tf.stack([self._vector(losses), self._vector(weighted)])
        counts = tf.stack([self._vector(rows), self._vector(metrics_rows)])
        self._sums.assign_add(tf.concat([means * counts[:1], counts], axis=0))

    def result(self) -> tf.Tensor:
        """The mean of each task's loss and of its weighted loss, zero without rows, [2, T]."""
        sums = tf.convert_to_tensor(self._sums)
        return tf.math.divide_no_nan(sums[:2], sums[2:3])

    def have_rows(self) -> tf.Tensor:
        """Whether there were rows for each task's loss, and for its metrics, bool [2, T]."""
        # Of all replicas, where it is not read in one.
        return tf.convert_to_tensor(self._sums)[2:] > 0

    def _vector(self, values: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.stack([tf.cast(value, self._sums.dtype) for value in values])


class LossMean(keras.metrics.Metric):
    """The mean of one task's loss, under the name that Keras gives it.

    Args:
        task: The task's name.
        index: Its place.
        sums: What it is read from, and reset with.
    """

    def __init__(self, task: str, index: int, sums: TaskSums) -> None:
        super().__init__(name=f"{task}_loss")
        self._index, self._all = index, sums

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the sums of all tasks are updated at once."""

    def reset_state(self) -> None:
        """Does nothing, likewise."""

    def result(self) -> tf.Tensor:
        """The mean."""
        return self._all.result()[0, self._index]
