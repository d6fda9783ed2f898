"""Losses and metrics in whatever form Keras takes them, in one form."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

# Aligns labels with predictions before it calls a function; Keras gives it no public name.
_FunctionLoss: Any = keras.losses.MeanSquaredError.__bases__[0]


class TaskLoss(keras.losses.Loss):
    """A loss that is called outside Keras's own step.

    There a name like "_x" or "<lambda>" is none that TensorFlow takes. And where a loss returns
    one number for the whole batch, it counts as one value; without any row as none, not as NaN.

    Args:
        loss: What the user passed to `compile`.
        task: Its task, for what TensorFlow says of a step that fails.

    Attributes:
        sees_all: Whether the user has said that it deals with missing (NaN) labels itself.
        returns_one_number: Whether it did, when it was called.
    """

    def __init__(self, loss: Any, task: str) -> None:
        self._loss = _as_loss(loss)
        self._scope = f"task_losses/{re.sub('[^A-Za-z0-9_.-]', '_', task)}"
        super().__init__(name="task_loss", reduction=self._loss.reduction, dtype=self._loss.dtype)
        functions = (self._loss, getattr(self._loss, "fn", None))
        self.sees_all = any(getattr(one, "supports_nan_labels", False) for one in functions)
        self.returns_one_number = False

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The reduced loss, by Keras's rules; by its own if the class has some."""
        with tf.name_scope(self._scope):
            if type(self._loss).__call__ is not keras.losses.Loss.__call__:
                reduced = _tensor_of(self._loss, self._loss(y_true, y_pred, sample_weight))
                return tf.reduce_sum(_one_if_any_row(reduced, y_true))
            return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The values that are reduced."""
        values = _tensor_of(self._loss, self._loss.call(y_true, y_pred))
        self.returns_one_number = values.shape.rank == 0
        return _one_if_any_row(values, y_true)


def metric_that_counts_rows(metric: Any) -> Any:
    """A function that, like a loss, may return one number; any other metric as it is."""
    is_function = callable(metric) and not isinstance(metric, keras.metrics.Metric | type)
    if not is_function:
        return metric

    @functools.wraps(metric)
    def values(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        try:
            found = metric(y_true, y_pred)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the metric {_name_of(metric)!r} fails for labels of shape {y_true.shape} and "
                f"predictions of shape {y_pred.shape}: {error}"
            ) from error
        return _one_if_any_row(_tensor_of(metric, found), y_true)

    if not hasattr(metric, "__name__"):
        values.__name__ = type(metric).__name__  # Keras's name for an object.
    return values


def _tensor_of(function: Any, values: Any) -> tf.Tensor:
    """What a loss or a metric returned, if it is one."""
    try:
        return tf.convert_to_tensor(values)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the loss or metric {_name_of(function)!r} returned {type(values).__name__}; let it "
            "return a value for each row"
        ) from error


def _name_of(function: Any) -> str:
    function = getattr(function, "fn", function)
    return str(getattr(function, "__name__", type(function).__name__))


def _one_if_any_row(values: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """A number as a vector of length one, or zero for no row; a vector as it is."""
    if values.shape.rank != 0:
        return values
    has_rows = tf.shape(labels)[:1] > 0
    return tf.boolean_mask(tf.reshape(values, [1]), has_rows)  # XLA knows no slice of this kind.


def _as_loss(identifier: Any) -> keras.losses.Loss:
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        return _FunctionLoss(_crossentropy)
    loss = keras.losses.get(identifier)
    return loss if isinstance(loss, keras.losses.Loss) else _FunctionLoss(loss, name="loss")


def _crossentropy(labels: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
    """The one that fits the shapes, as Keras chooses it."""
    function: Callable[[Any, Any], tf.Tensor] = keras.losses.categorical_crossentropy
    if predictions.shape[-1] == 1:
        function = keras.losses.binary_crossentropy
    elif labels.shape.rank < predictions.shape.rank or labels.shape[-1] == 1:
        function = keras.losses.sparse_categorical_crossentropy
    return function(labels, predictions)
