"""Which of a task's labels count where some are missing: rows, positions, or single values."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

# What a loss or a metric makes of labels and predictions, for a comparison.
Measure = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Found = TypeVar("Found")

_ROWS = 2
_UNKNOWN_LENGTH = 3


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


def units_of_loss(loss: keras.losses.Loss, labels: tf.Tensor, predictions: tf.Tensor) -> Units:
    """The units in which a loss can be taken.

    Found by trying: the mean over single values, or positions, is that over rows if the loss is
    element-wise. A loss that is finite where a label is NaN, and does not depend on the prediction
    there, deals with it: it gets every row that has a label.

    Args:
        loss: The task's loss.
        labels: Its labels, of several values a row.
        predictions: The model's output.
    """
    measure = _measure_of_loss(loss)

    def find() -> Units:
        if _deals_with_nan(measure, labels, predictions):
            return Units(may_be_partial=True)
        return Units(_finest([measure], labels, predictions))

    return _aside(find)


def units_of_metrics(metrics: Sequence[Any], labels: tf.Tensor, predictions: tf.Tensor) -> Units:
    """The units in which all of a task's metrics can be taken, see `units_of_loss`."""

    def find() -> Units:
        measures = [_measure_of_metric(metric) for metric in metrics]
        known = [measure for measure in measures if measure is not None]
        return Units(_finest(known, labels, predictions) if len(known) == len(measures) else 1)

    return _aside(find)


def averages_values(loss: keras.losses.Loss, labels: tf.Tensor) -> bool:
    """Whether an element-wise loss is a mean over the last axis; otherwise it keeps the values."""

    def find() -> bool:
        values = tf.zeros(_shape(labels), loss.dtype)
        return int(tf.size(loss.call(values, values))) != int(tf.size(values))

    return _aside(find)


def sums_over_rows(loss: keras.losses.Loss, labels: tf.Tensor, predictions: tf.Tensor) -> bool:
    """Whether a loss that returns one number is a sum over the rows, and not a mean.

    Raises:
        ValueError: It is neither.
    """
    measure = _measure_of_loss(loss)

    def find() -> bool:
        for some_labels, some_predictions in _samples(labels, predictions):
            sample = some_labels, some_predictions
            twice = [tf.concat([one, one], 0) for one in sample]
            once, both = (float(tf.reduce_sum(measure(*one))) for one in (sample, twice))
            for factor in (1, 2):
                if np.isclose(both, factor * once, rtol=1e-3, atol=0):
                    return factor == 2
        raise ValueError

    return _aside(find)


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


def _aside(find: Callable[[], Found]) -> Found:
    """Calls a function eagerly and in no replica, also while a step is traced.

    TensorFlow keeps both by thread, and so does Keras the numbers in the names of metrics.
    """
    with ThreadPoolExecutor(max_workers=1) as other, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return other.submit(find).result()


def _measure_of_loss(loss: keras.losses.Loss) -> Measure:
    def measure(labels: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
        return loss.call(tf.cast(labels, loss.dtype), tf.cast(predictions, loss.dtype))

    return measure


def _measure_of_metric(metric: Any) -> Measure | None:
    """`None` for the one that Keras chooses by the shapes of labels and predictions."""
    if str(metric).lower() in ("accuracy", "acc"):
        return None
    made = keras.metrics.get(metric)
    if not isinstance(made, keras.metrics.Metric):
        made = keras.metrics.MeanMetricWrapper(made)

    def measure(labels: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
        state = made.stateless_reset_state()
        return made.stateless_result(made.stateless_update_state(state, labels, predictions))

    return measure


def _finest(measures: Sequence[Measure], labels: tf.Tensor, predictions: tf.Tensor) -> int:
    """The largest number of axes by which labels and predictions may be taken apart."""
    most = min(labels.shape.rank, predictions.shape.rank)
    for axes in range(most, 1, -1):
        alike = labels.shape[:axes].is_compatible_with(predictions.shape[:axes])
        if alike and all(_is_mean_over(axes, one, labels, predictions) for one in measures):
            return axes
    return 1


def _is_mean_over(axes: int, measure: Measure, labels: tf.Tensor, predictions: tf.Tensor) -> bool:
    for sample in _samples(labels, predictions):
        parts = _units(axes, *sample)
        try:
            found = [measure(*sample), measure(*parts)]
            means = [float(tf.reduce_mean(tf.cast(one, tf.float64))) for one in found]
        except Exception:  # Whatever a user's function raises or returns, it is not element-wise.
            return False
        if np.isfinite(means).all():
            return bool(np.isclose(means[0], means[1], rtol=1e-3, atol=0))
    return False


def _units(axes: int, labels: tf.Tensor, predictions: tf.Tensor) -> list[tf.Tensor]:
    """Labels and predictions with one row for each unit; of single values [units, 1]."""
    are_values = labels.shape.rank == predictions.shape.rank == axes
    rest = [[1] if are_values else one.shape[axes:] for one in (labels, predictions)]
    return [
        tf.reshape(one, [-1, *shape])
        for one, shape in zip((labels, predictions), rest, strict=True)
    ]


def _deals_with_nan(measure: Measure, labels: tf.Tensor, predictions: tf.Tensor) -> bool:
    for some_labels, some_predictions in _samples(labels, predictions):
        first = np.zeros(some_labels.shape, bool)
        first.flat[0] = True
        with_gap = tf.where(first, np.nan, some_labels)
        with tf.GradientTape() as tape:
            tape.watch(some_predictions)
            try:
                value = tf.reduce_sum(measure(with_gap, some_predictions))
            except Exception:  # As above.
                return False
        slopes = tape.gradient(value, some_predictions)
        if slopes is None or first.size > tf.size(slopes):
            continue
        # Whatever belongs to the first label.
        of_first, *others = np.reshape(slopes, [first.size, -1])
        is_finite = np.isfinite(value) and np.isfinite(slopes).all()
        if is_finite and not of_first.any() and np.any(others):
            return True
    return False


def _samples(labels: tf.Tensor, predictions: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Labels that are classes or probabilities, and labels within (0, 1), with predictions."""
    rng = np.random.default_rng(0)
    shape = _shape(labels)
    predicted = tf.constant(rng.uniform(0.1, 0.9, _shape(predictions)), tf.float32)
    kinds = (rng.integers(0, 2, shape), rng.uniform(0.2, 0.8, shape))
    return [(tf.constant(one, tf.float32), predicted) for one in kinds]


def _shape(values: tf.Tensor) -> list[int]:
    """Of a sample: few rows."""
    return [_ROWS, *(size or _UNKNOWN_LENGTH for size in values.shape[1:])]
