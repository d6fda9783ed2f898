"""Finds out, by trying, in which units losses and metrics can be taken."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from pcgrad.keras.losses.label_units import Units

# What a loss or a metric makes of labels and predictions, for a comparison.
Measure = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Found = TypeVar("Found")

# With fewer, what counts by row or by column may come out as what counts by value.
_ROWS = 8
_UNKNOWN_LENGTH = 3
# Standard deviations of numbers around zero: what depends on a threshold shall show it.
_SCALES = (3.0, 100.0, 10_000.0)

# Operations that count as having a state, and change none that a loss may depend on.
_HARMLESS = frozenset(
    [
        "Assert", "Case", "CheckNumerics", "EagerPyFunc",
        "If", "LookupTableFindV2", "Placeholder", "PrintV2", "PyFunc", "ReadVariableOp",
        "ResourceGather", "ResourceGatherNd", "StatefulPartitionedCall", "While",
    ]
)  # fmt: skip


def units_of_loss(loss: keras.losses.Loss, labels: tf.Tensor, predictions: tf.Tensor) -> Units:
    """The units in which a loss can be taken.

    Found by trying: the mean over single values, or positions, is that over rows if the loss is
    element-wise. A loss that is finite where a label is NaN, and does not depend on the prediction
    there, deals with it: it gets every row that has a label. A loss that changes variables, or
    draws at random, is not tried: it is taken by rows.

    Args:
        loss: The task's loss.
        labels: Its labels, of several values a row.
        predictions: The model's output.
    """
    measure = _measure_of_loss(loss)

    def find() -> Units:
        if not _is_pure(measure, labels, predictions):
            return Units()
        if _deals_with_nan(measure, labels, predictions):
            return Units(may_be_partial=True)
        return Units(_finest([_mean_of(measure)], labels, predictions))

    return _aside(find)


def units_of_metrics(metrics: Sequence[Any], labels: tf.Tensor, predictions: tf.Tensor) -> Units:
    """The units in which all of a task's metrics can be taken, see `units_of_loss`."""

    def find() -> Units:
        measures = [_measure_of_metric(metric, labels, predictions) for metric in metrics]
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


def _mean_of(measure: Measure) -> Measure:
    return lambda labels, predictions: tf.reduce_mean(measure(labels, predictions))


def _measure_of_metric(metric: Any, labels: tf.Tensor, predictions: tf.Tensor) -> Measure | None:
    """`None` for what cannot be tried, or is chosen by Keras by the shapes of both."""
    if str(metric).lower() in ("accuracy", "acc"):
        return None
    made = keras.metrics.get(metric)
    if not isinstance(made, keras.metrics.Metric):
        if not _is_pure(made, labels, predictions):
            return None
        made = keras.metrics.MeanMetricWrapper(made)

    def measure(labels: tf.Tensor, predictions: tf.Tensor) -> Any:
        copied = _copied(made)
        copied.reset_state()
        copied.update_state(labels, predictions)
        return copied.result()

    return measure


def _copied(metric: keras.metrics.Metric) -> keras.metrics.Metric:
    """A metric with a state of its own, also such that Keras does not know of.

    `copy.deepcopy` alone goes by way of a file and `get_config`, which a user's class may lack.
    """
    copied = object.__new__(type(metric))
    vars(copied).update(copy.deepcopy(vars(metric), {id(metric): copied}))
    return copied


def _is_pure(measure: Measure, labels: tf.Tensor, predictions: tf.Tensor) -> bool:
    """Whether a function changes no variable and draws nothing at random; so may be one of NumPy's.

    A function that cannot be traced is taken for one.
    """
    specs = [tf.TensorSpec(_shape(one), tf.float32) for one in (labels, predictions)]
    try:
        # As in a training step of Keras, without AutoGraph.
        graph = tf.function(measure, autograph=False).get_concrete_function(*specs).graph
    except Exception:  # Whatever a user's function raises.
        return True
    definition = graph.as_graph_def()
    functions = {one.signature.name: one.node_def for one in definition.library.function}
    nodes = itertools.chain(definition.node, *functions.values())
    kinds = {node.op for node in nodes} - _HARMLESS - functions.keys()
    return not any(graph.op_def_for_type(kind).is_stateful for kind in kinds)


def _finest(measures: Sequence[Measure], labels: tf.Tensor, predictions: tf.Tensor) -> int:
    """The largest number of axes by which labels and predictions may be taken apart."""
    most = min(labels.shape.rank, predictions.shape.rank)
    for axes in range(most, 1, -1):
        alike = labels.shape[:axes].is_compatible_with(predictions.shape[:axes])
        if alike and all(_is_mean_over(axes, one, labels, predictions) for one in measures):
            return axes
    return 1


def _is_mean_over(axes: int, measure: Measure, labels: tf.Tensor, predictions: tf.Tensor) -> bool:
    is_tried = False
    for sample in _samples(labels, predictions) + _wide_samples(labels, predictions):
        try:
            whole = np.asarray(measure(*sample), np.float64)
        except Exception:  # Whatever a user's function raises for such numbers.
            continue
        if not np.isfinite(whole).all():
            continue
        try:
            of_parts = np.asarray(measure(*_units(axes, *sample)), np.float64)
        except Exception:
            return False
        if whole.shape != of_parts.shape or not np.allclose(whole, of_parts, rtol=1e-3, atol=0):
            return False
        is_tried = True
    return is_tried


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


def _wide_samples(labels: tf.Tensor, predictions: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Numbers of several sizes, negative ones as well."""
    rng = np.random.default_rng(1)
    shapes = _shape(labels), _shape(predictions)
    return [
        tuple(tf.constant(rng.normal(0, scale, shape), tf.float32) for shape in shapes)
        for scale in _SCALES
    ]


def _shape(values: tf.Tensor) -> list[int]:
    """Of a sample: few rows."""
    return [_ROWS, *(size or _UNKNOWN_LENGTH for size in values.shape[1:])]
