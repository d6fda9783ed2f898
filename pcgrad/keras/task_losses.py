"""The losses of several tasks: by name, with missing labels masked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class TaskBatch:
    """One task's share of a batch.

    Attributes:
        labels: Labels with zeros where they are missing.
        predictions: The model's output for the task.
        sample_weight: The user's weights, or `None`.
        labelled: Bool tensor [rows], or `None` where no label can be missing.
        labelled_rows: Number of labelled rows in the global batch, float32 scalar.
    """

    labels: tf.Tensor
    predictions: tf.Tensor
    sample_weight: tf.Tensor | None
    labelled: tf.Tensor | None
    labelled_rows: tf.Tensor

    def labelled_part(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Labels, predictions and sample weights of the labelled rows."""
        labels, predictions, weight = self.labels, self.predictions, self.sample_weight
        if self.labelled is not None:
            labels = tf.boolean_mask(labels, self.labelled)
            predictions = tf.boolean_mask(predictions, self.labelled)
            weight = None if weight is None else tf.boolean_mask(weight, self.labelled)
        return labels, predictions, weight


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
        nested = isinstance(sample_weight, Mapping | list | tuple)
        weights = self._by_task(sample_weight, "sample weights") if nested else {}
        found = {n: _find_missing(tf.convert_to_tensor(labels[n])) for n in self.names}
        rows = _global_sum({name: _count_rows(*part) for name, part in found.items()})
        return {
            name: TaskBatch(
                labels=known,
                predictions=predictions[name],
                sample_weight=weights[name] if nested else sample_weight,
                labelled=labelled,
                labelled_rows=rows[name],
            )
            for name, (known, labelled) in found.items()
        }

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
        weight = batch.sample_weight
        if batch.labelled is not None:
            weight = _masked(weight, batch.labelled)
        value = loss(batch.labels, batch.predictions, weight)
        if loss.reduction not in ("sum_over_batch_size", "mean"):
            return tf.reduce_sum(value)
        # Keras has divided by this replica's rows and the number of replicas.
        rows = tf.shape(batch.labels)[0] * tf.distribute.get_strategy().num_replicas_in_sync
        share = tf.math.divide_no_nan(tf.cast(rows, tf.float32), batch.labelled_rows)
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


def _find_missing(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Labels with missing ones (NaN) replaced by zero, and which rows have one."""
    if not labels.dtype.is_floating:
        return labels, None
    missing = tf.math.is_nan(labels)
    labelled = tf.logical_not(tf.reduce_any(tf.reshape(missing, [tf.shape(labels)[0], -1]), axis=1))
    return tf.where(missing, tf.zeros_like(labels), labels), labelled


def _count_rows(labels: tf.Tensor, labelled: tf.Tensor | None) -> tf.Tensor:
    rows = tf.shape(labels)[0] if labelled is None else tf.math.count_nonzero(labelled)
    return tf.cast(rows, tf.float32)


def _global_sum(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Sums over the replicas, in one collective operation."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def _masked(weight: tf.Tensor | None, labelled: tf.Tensor) -> tf.Tensor:
    """Sample weights that are zero where the label is missing."""
    if weight is None:
        return tf.cast(labelled, tf.float32)
    weight = tf.convert_to_tensor(weight)
    mask = tf.reshape(labelled, [-1] + [1] * (weight.shape.rank - 1))
    return tf.where(mask, weight, tf.zeros_like(weight))
