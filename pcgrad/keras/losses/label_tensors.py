"""Labels as tensors that fit a model's output."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def label_tensor(task: str, labels: Any, predictions: tf.Tensor) -> tf.Tensor:
    """Makes a dense tensor of a task's labels.

    Args:
        task: Its name, for errors.
        labels: Labels [rows, …]; of ragged ones, what is not there is missing (NaN).
        predictions: The model's output, [rows, …].

    Returns:
        Labels [rows, …], of known rank.

    Raises:
        ValueError: The rank is not known, the number of rows is not that of the predictions, or
            the labels are a sparse tensor.
        InvalidArgumentError: So is the number of rows when the step runs, or ragged labels are
            longer than the predictions.
    """
    if isinstance(labels, tf.RaggedTensor):
        labels = _padded(task, labels, predictions)
    if isinstance(labels, tf.SparseTensor):
        raise ValueError(
            f"the labels of task {task!r} are a sparse tensor: make them dense, say by "
            "`tf.sparse.to_dense` in the dataset"
        )
    labels = tf.convert_to_tensor(labels)
    if not labels.shape.rank:
        raise ValueError(
            f"the labels of task {task!r} have the shape {labels.shape}: they need rows, and a "
            "known number of dimensions, say by `tf.ensure_shape(labels, [None, 1])` in the dataset"
        )
    rows, expected = labels.shape[:1], predictions.shape[:1]
    if not rows.is_compatible_with(expected):
        raise ValueError(
            f"task {task!r} has {rows[0]} rows of labels and {expected[0]} of predictions: the "
            "model must return one row for each row of its input"
        )
    if not (rows.is_fully_defined() and expected.is_fully_defined()):
        same = tf.debugging.assert_equal(
            tf.shape(labels)[0],
            tf.shape(predictions)[0],
            message=f"task {task!r} has not as many rows of labels as of predictions",
        )
        with tf.control_dependencies([same]):  # Before any row is looked up.
            labels = tf.identity(labels)
    return labels


def _padded(task: str, labels: tf.RaggedTensor, predictions: tf.Tensor) -> tf.Tensor:
    """Ragged labels, filled up with NaN to the length of the predictions."""
    if not labels.dtype.is_floating:
        labels = tf.cast(labels, keras.config.floatx())
    rank = labels.shape.rank
    longest = tf.cast(labels.bounding_shape(), tf.int32)
    room = tf.concat([longest[:1], tf.shape(predictions)[1:rank]], 0)
    tf.debugging.assert_less_equal(
        longest, room, message=f"ragged labels of task {task!r} are longer than its predictions"
    )
    dense = labels.to_tensor(default_value=float("nan"), shape=room)
    return tf.ensure_shape(dense, [labels.shape[0], *predictions.shape[1:rank]])
