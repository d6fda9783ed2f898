"""The losses of several tasks: by name, with missing labels masked."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.compile_arguments import names_for_list
from pcgrad.replicas import sum_over_replicas

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


@dataclasses.dataclass(frozen=True)
class TaskBatch:
    """One task's labelled rows of a batch.

    Rows without a label are left out rather than weighted with zero: whatever stood in for the
    label might make the loss, and zero times it, NaN.

    Attributes:
        labels: Labels [rows, …].
        predictions: The model's output for the task, [rows, …].
        sample_weight: The user's weights [rows, …], or `None`.
        share: This replica's part of what a mean over the global batch divides by (the rows, the
            positions that are not masked, or the weights), float64 scalar: 1 on a single replica.
        global_rows: Number of rows on all replicas together, float64 scalar.
    """

    labels: tf.Tensor
    predictions: tf.Tensor
    sample_weight: tf.Tensor | None
    share: tf.Tensor
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
            ValueError: A task's labels or outputs are missing, or there are too many.
        """
        labels = self._by_task(y, "labels")
        predictions = self._by_task(y_pred, "outputs")
        weights = dict.fromkeys(self.names, sample_weight)
        if isinstance(sample_weight, Mapping | list | tuple):
            weights = self._by_task(sample_weight, "sample weights", may_be_none=True)
        parts = {
            name: _labelled_rows(labels[name], predictions[name], weights[name])
            for name in self.names
        }
        # In float64, for models in float64; the numbers of rows are exact.
        sizes = {
            name: (
                tf.cast(tf.shape(part[0])[0], tf.float64),
                _divisor(self._losses[name].reduction, *part),
            )
            for name, part in parts.items()
        }
        batches = {}
        for name, (global_rows, divisor) in sum_over_replicas(sizes).items():
            share = tf.math.divide_no_nan(sizes[name][1], divisor)
            batches[name] = TaskBatch(*parts[name], share, global_rows)
        return batches

    def __call__(self, batches: Mapping[str, TaskBatch]) -> dict[str, tf.Tensor]:
        """Computes each task's loss, without its loss weight.

        With a mean reduction it is the mean over the labelled rows; a task without any has a loss
        of zero. On several replicas the mean is over the global batch, of the positions that are
        not masked if there is a mask: the replicas' losses add up to it.

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
        if loss.reduction not in _MEANS:
            return value
        # Keras has divided by this replica's part and by the number of replicas.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return value * tf.cast(batch.share * replicas, value.dtype)

    def _by_task(self, values: Any, what: str, may_be_none: bool = False) -> dict[str, Any]:
        if isinstance(values, list | tuple):
            names = names_for_list(values, self._output_names, self.names)
            if names is None:
                raise ValueError(
                    f"a list of {len(values)} {what}: the model's outputs are "
                    f"{list(self._output_names)}; use a list of as many, or a dict by task"
                )
            values = dict(zip(names, values, strict=True))
        elif not isinstance(values, Mapping):
            values = {self.names[0]: values}
        found = {name for name in values if may_be_none or values[name] is not None}
        missing = [name for name in self.names if name not in found]
        if missing:
            raise ValueError(
                f"no {what} for task {missing[0]!r}: found {what} for {sorted(found)}, and "
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
    mask = _mask_of(predictions)
    if mask is not None:
        kept._keras_mask = tf.boolean_mask(mask, labelled)
    weight = None if weight is None else tf.boolean_mask(weight, labelled)
    return tf.boolean_mask(labels, labelled), kept, weight


def _divisor(
    reduction: str | None, labels: tf.Tensor, predictions: tf.Tensor, weight: Any
) -> tf.Tensor:
    """What the mean over a replica's labelled rows divides by, to a factor common to replicas."""
    factors = [_mask_of(predictions)]
    if reduction == "mean_with_sample_weight":
        factors.append(weight)
    factors = [tf.cast(factor, tf.float64) for factor in factors if factor is not None]
    if not factors:
        return tf.cast(tf.shape(labels)[0], tf.float64)
    return tf.reduce_sum(functools.reduce(tf.multiply, factors))


def _mask_of(predictions: tf.Tensor) -> tf.Tensor | None:
    """The mask of a sequence, where Keras's losses and metrics find it; it has no public name."""
    return getattr(predictions, "_keras_mask", None)
