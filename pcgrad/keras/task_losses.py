"""The losses of several tasks: by name, with missing labels masked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class TaskBatch:
    """One task's labelled rows of a batch.

    Rows without a label are left out rather than weighted with zero: whatever stood in for the
    label might make the loss, and zero times it, NaN.

    Attributes:
        labels: Labels [rows, …].
        predictions: The model's output for the task, [rows, …].
        sample_weight: The user's weights [rows, …], or `None`.
        rows: Number of rows, float32 scalar.
        global_rows: Number of rows on all replicas together, float32 scalar.
    """

    labels: tf.Tensor
    predictions: tf.Tensor
    sample_weight: tf.Tensor | None
    rows: tf.Tensor
    global_rows: tf.Tensor


class TaskLosses:
    """The compiled losses of a multi-task model.

    Args:
        losses: Keras loss (name, function or `keras.losses.Loss`) by task.
        loss_weights: Weight by task, 1 where missing.
        output_names: The model's outputs in order, if it returns a sequence of them.

    Raises:
        ValueError: A loss cannot be combined with gradient surgery.
    """

    def __init__(
        self,
        losses: Mapping[str, Any],
        loss_weights: Mapping[str, float],
        output_names: Sequence[str],
    ) -> None:
        self.names = tuple(losses)
        self.weights = {name: float(loss_weights.get(name, 1.0)) for name in losses}
        self._losses = {name: _as_loss(loss) for name, loss in losses.items()}
        self._output_names = tuple(output_names)

    def split(self, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, TaskBatch]:
        """Splits a batch by task and finds the missing labels.

        A label is missing where it is NaN; labels of an integer dtype are never missing.

        Args:
            y: Labels: a mapping by task, a sequence in the order of the outputs, or one tensor.
            y_pred: The model's outputs, likewise.
            sample_weight: Weights, likewise; one tensor counts for every task.

        Returns:
            A task's batch by name.

        Raises:
            ValueError: A task's labels or outputs are missing.
        """
        labels = self._by_task(y, "labels")
        predictions = self._by_task(y_pred, "outputs")
        weights = dict.fromkeys(self.names, sample_weight)
        if isinstance(sample_weight, Mapping | list | tuple):
            weights = self._by_task(sample_weight, "sample weights")
        parts = {
            name: _labelled_rows(labels[name], predictions[name], weights[name])
            for name in self.names
        }
        rows = {name: tf.cast(tf.shape(part[0])[0], tf.float32) for name, part in parts.items()}
        global_rows = _global_sum(rows)
        return {name: TaskBatch(*parts[name], rows[name], global_rows[name]) for name in self.names}

    def __call__(self, batches: Mapping[str, TaskBatch]) -> dict[str, tf.Tensor]:
        """Computes each task's loss, without its loss weight.

        With a mean reduction it is the mean over the labelled rows; a task without any has a loss
        of zero. On several replicas the mean is over the global batch: the replicas' losses add up
        to it.

        Args:
            batches: What `split` returned.

        Returns:
            Scalar loss by task.
        """
        return {name: self._task_loss(name, batch) for name, batch in batches.items()}

    def _task_loss(self, name: str, batch: TaskBatch) -> tf.Tensor:
        loss = self._losses[name]
        # Keras leaves the values unreduced if there are no rows.
        value = tf.reduce_sum(loss(batch.labels, batch.predictions, batch.sample_weight))
        if loss.reduction not in ("sum_over_batch_size", "mean"):
            return value
        # Keras has divided by this replica's rows and by the number of replicas.
        rows = batch.rows * tf.distribute.get_strategy().num_replicas_in_sync
        # In float64, for models in float64; the numbers of rows are exact.
        share = tf.math.divide_no_nan(
            tf.cast(rows, tf.float64), tf.cast(batch.global_rows, tf.float64)
        )
        return value * tf.cast(share, value.dtype)

    def _by_task(self, values: Any, what: str) -> dict[str, tf.Tensor]:
        if isinstance(values, list | tuple):
            names = self._output_names if len(values) == len(self._output_names) else self.names
            values = dict(zip(names, values, strict=False))
        elif not isinstance(values, Mapping):
            values = {self.names[0]: values}
        missing = [name for name in self.names if values.get(name) is None]
        if missing:
            raise ValueError(
                f"no {what} for task {missing[0]!r}: found {what} for {sorted(values)}, and "
                f"`compile` was given losses for {sorted(self.names)}"
            )
        return {name: values[name] for name in self.names}


class _FunctionLoss(keras.losses.Loss):
    """A loss function with Keras's default reduction."""

    def __init__(self, function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> None:
        super().__init__(name=getattr(function, "__name__", None))
        self._function = function

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        if y_pred.shape.rank == y_true.shape.rank + 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., tf.newaxis]
        elif y_true.shape.rank == y_pred.shape.rank + 1 and y_true.shape[-1] == 1:
            y_true = tf.squeeze(y_true, axis=-1)
        return self._function(y_true, y_pred)


def _as_loss(identifier: Any) -> keras.losses.Loss:
    loss = keras.losses.get(identifier)
    return loss if isinstance(loss, keras.losses.Loss) else _FunctionLoss(loss)


def _labelled_rows(
    labels: Any, predictions: tf.Tensor, weight: Any
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """Leaves out the rows that have a missing (NaN) label."""
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_floating:
        return labels, predictions, weight
    missing = tf.reshape(tf.math.is_nan(labels), [tf.shape(labels)[0], -1])
    labelled = tf.logical_not(tf.reduce_any(missing, axis=1))
    kept = tf.boolean_mask(predictions, labelled)
    # Keras's losses and metrics find the mask of a sequence here; there is no public name for it.
    mask = getattr(predictions, "_keras_mask", None)
    if mask is not None:
        kept._keras_mask = tf.boolean_mask(mask, labelled)
    weight = None if weight is None else tf.boolean_mask(weight, labelled)
    return tf.boolean_mask(labels, labelled), kept, weight


def _global_sum(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Sums over the replicas, in one collective operation."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
