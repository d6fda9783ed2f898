"""Which of a task's labels count where some are missing: rows, positions, or single values."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Units:
    """What counts or is missing as a whole.

    Attributes:
        axes: The number of the labels' axes that tell the units apart: 1 for rows, as many as the
            labels have for single values; 0 if everything counts, NaN as well.
        may_be_partial: Whether a unit counts of which some values are missing.
    """

    axes: int = 1
    may_be_partial: bool = False


@dataclasses.dataclass(frozen=True)
class Labelled:
    """The units of a batch that have a label; what is missing has been left out.

    Attributes:
        labels: Labels [units, …].
        predictions: The model's output, [units, …].
        sample_weight: The user's weights [units, …], or `None`.
        hides_rows: Whether the number of rows was known while the step is traced, and is no more.
    """

    labels: tf.Tensor
    predictions: tf.Tensor
    sample_weight: tf.Tensor | None
    hides_rows: bool = False


def may_be_incomplete(labels: tf.Tensor) -> bool:
    """Whether a row has several values, any of which may be missing."""
    return labels.dtype.is_floating and any(size != 1 for size in labels.shape[1:])


def labelled(units: Units, labels: tf.Tensor, predictions: tf.Tensor, weight: Any) -> Labelled:
    """Leaves out the units that have a missing (NaN) label.

    Args:
        units: What counts as a whole.
        labels: Labels [rows, …].
        predictions: The model's output, [rows, …].
        weight: Weights [rows, …], or `None`.
    """
    if not labels.dtype.is_floating or units.axes == 0:
        return Labelled(labels, predictions, weight)
    rest = list(range(units.axes, labels.shape.rank))
    missing = tf.math.is_nan(labels)
    if rest:
        missing = (tf.reduce_all if units.may_be_partial else tf.reduce_any)(missing, rest)
    known, has_known_rows = tf.logical_not(missing), labels.shape[0] is not None
    kept, labels = _chosen(known, predictions, labels)
    if labels.shape.rank == kept.shape.rank == 1 and units.axes > 1:
        labels, kept = labels[:, tf.newaxis], kept[:, tf.newaxis]
    mask = mask_of(predictions)
    if mask is not None:
        (kept._keras_mask,) = _chosen(known, _spread(mask, known))
    # Of which Keras takes a cross-entropy where it can: it does not saturate.
    logits = getattr(predictions, "_keras_logits", None)
    if logits is not None:
        kept._keras_logits = tf.reshape(*_chosen(known, logits), tf.shape(kept))
    if weight is not None:
        (weight,) = _chosen(known, _spread(weight, known))
    return Labelled(labels, kept, weight, has_known_rows and labels.shape[0] is None)


def _chosen(known: tf.Tensor, *tensors: tf.Tensor) -> list[tf.Tensor]:
    """The units that are known, of each tensor; `tf.boolean_mask` takes twice as long for rows."""
    if known.shape.rank > 1:
        return [tf.boolean_mask(tensor, known) for tensor in tensors]
    rows = tf.squeeze(tf.where(known), axis=1)
    return [tf.gather(tensor, rows) for tensor in tensors]


def mask_of(predictions: tf.Tensor) -> tf.Tensor | None:
    """The mask of a sequence, where Keras's losses and metrics find it; it has no public name."""
    return getattr(predictions, "_keras_mask", None)


def _spread(values: Any, like: tf.Tensor) -> tf.Tensor:
    """Repeats one value for each row, or position, for all units within it."""
    values = tf.convert_to_tensor(values)
    missing = like.shape.rank - values.shape.rank
    if like.shape.rank == 1 or missing < 0:
        return values
    wider = tf.reshape(values, tf.concat([tf.shape(values), [1] * missing], 0))
    return tf.broadcast_to(wider, tf.shape(like))
