"""Transform's `preprocessing_fn`: features and labels from raw columns.

It is named in a pipeline as `preprocessing_fn="pcgrad_tfx.preprocessing.preprocessing_fn"`. What
it learns from the training split (means, vocabularies, bucket boundaries) is kept in the
transform graph, so a row is treated alike in training and in serving. No feature depends on a
label's column: without those columns the graph still gives every feature.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

from pcgrad_tfx.config.features import Features, check_features, transformed_name
from pcgrad_tfx.config.tasks import Task, parse_tasks
from pcgrad_tfx.data.row_checks import number_fault
from pcgrad_tfx.errors import brief, shown
from pcgrad_tfx.transform.vocabularies import look_up, read_vocabularies

RawColumn: TypeAlias = tf.Tensor | tf.SparseTensor

# Columns of floats are stored as float32. A value that equals a limit in the source file can then
# lie above it by up to 2^-24 of its size, a quotient of two by three times that.
_FLOAT32_ROUNDING = 2.0**-22

_QUANTILE_EPSILON = 0.01

_FARTHEST = 1e6

# Beyond it a floating number does not fit into an int64.
_LARGEST_WHOLE = 2.0**63


def preprocessing_fn(
    inputs: Mapping[str, RawColumn], custom_config: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
    """Computes the transformed features, labels and masks.

    Args:
        inputs: The raw columns by name, each a SparseTensor with at most one value per row (as
            from `tf.io.VarLenFeature`) or a dense tensor [N] or [N, 1]. A value is missing where
            the SparseTensor has none, where a number is not finite and where a text is empty.
        custom_config: `{"tasks": [...], "features": {...}}`, the JSON of `Task` and `Features`.
            Further keys only make TFX's cache depend on them.

    Returns:
        For each feature `transformed_name(column)`: numeric float32 [N] with mean 0 and variance
        1, 0 where missing; categorical int64 [N], 0 where missing; bucketized int64 [N], the
        median's bucket where missing. For each task its `label_key`, `label_dtype` [N], 0 where
        missing, and its `mask_key`, float32 [N], 1 where there is a label.

    Raises:
        ValueError: If a task or feature is wrong, or a column is absent or of an unfit type.
    """
    tasks = parse_tasks(custom_config["tasks"])
    features = Features.model_validate(custom_config["features"])
    check_features(features, tasks)
    outputs = {
        transformed_name(column): values
        for transform in (_scale, _look_up, _bucketize)
        for column, values in transform(inputs, features).items()
    }
    for task in tasks:
        label, valid = (_text_label if task.is_text else _number_label)(inputs, task)
        dtype = tf.as_dtype(task.label_dtype)
        outputs[task.label_key] = tf.where(valid, tf.cast(label, dtype), tf.zeros([], dtype))
        outputs[task.mask_key] = tf.cast(valid, tf.float32)
    return outputs


def embedding_sizes(features: Features, tft_output: tft.TFTransformOutput) -> dict[str, int]:
    """The number of ids of each transformed feature that holds ids.

    Args:
        features: The features that `tft_output` was made with.
        tft_output: Transform's output.

    Returns:
        The number of ids, which run from 0, by transformed name. Numeric features are not in it.
    """
    sizes = {}
    vocabularies = read_vocabularies(tft_output) if features.categorical else {}
    for column in features.categorical:
        sizes[transformed_name(column)] = 1 + len(vocabularies[column]) + features.oov_buckets
    for column, buckets in features.bucketized.items():
        sizes[transformed_name(column)] = buckets
    return sizes


def _scale(inputs: Mapping[str, RawColumn], features: Features) -> dict[str, tf.Tensor]:
    """float32 [N] of mean 0 and variance 1 for each numeric column."""
    columns = features.numeric
    if not columns:
        return {}
    # Together: each column would add some 26 steps to the Beam pipeline, and with hundreds these
    # would take longer than the data do.
    values = tf.stack([_numbers(inputs, column) for column in columns], axis=1)
    # Neither counts what is not finite; where there is nothing else, they are not finite.
    mean = tft.mean(values, reduce_instance_dims=False)
    deviation = tf.sqrt(tft.var(values, reduce_instance_dims=False))
    scaled = tf.math.divide_no_nan(values - mean, deviation)
    valid = tf.math.is_finite(values) & tf.math.is_finite(mean)
    # One of N values is at most sqrt(N) deviations off, so this limits none of those seen here, but
    # that of a request, which could make the network overflow.
    scaled = tf.clip_by_value(scaled, -_FARTHEST, _FARTHEST)
    scaled = tf.cast(tf.where(valid, scaled, 0.0), tf.float32)
    return dict(zip(columns, tf.unstack(scaled, num=len(columns), axis=1), strict=True))


def _look_up(inputs: Mapping[str, RawColumn], features: Features) -> dict[str, tf.Tensor]:
    """int64 [N] for each categorical column: 0 is missing, then vocabulary, then OOV."""
    if not features.categorical:
        return {}
    texts = {column: _texts(inputs, column) for column in features.categorical}
    return look_up(texts, features.vocabulary_size, features.oov_buckets)


def _bucketize(inputs: Mapping[str, RawColumn], features: Features) -> dict[str, tf.Tensor]:
    """int64 [N] in [0, buckets) for each bucketized column, the median's bucket where missing."""
    found = {}
    # Not together, because tft.quantiles then fails where one of the columns is empty.
    for column, buckets in features.bucketized.items():
        values = _numbers(inputs, column)
        valid = tf.math.is_finite(values)
        known = tf.boolean_mask(values, valid)
        median = tf.reshape(tft.quantiles(known, 2, _QUANTILE_EPSILON), [])
        boundaries = tft.quantiles(known, buckets, _QUANTILE_EPSILON / buckets)
        filled = tf.where(valid, tf.cast(values, boundaries.dtype), median)
        found[column] = tft.apply_buckets(filled, boundaries)
    return found


def _text_label(inputs: Mapping[str, RawColumn], task: Task) -> tuple[tf.Tensor, tf.Tensor]:
    names = list(task.classes or [str(task.positive)])
    if _find(inputs, task.column).dtype.is_floating:
        # As numbers: 1.50 is 1.5, and neither is exactly what float32 holds.
        values = _numbers(inputs, task.column)
        known = tf.math.is_finite(values)
        wanted = tf.constant(_as_numbers(names), tf.float32)
        is_class = tf.cast(values, tf.float32)[:, tf.newaxis] == wanted
    else:
        values = _texts(inputs, task.column)
        known = values != ""
        is_class = values[:, tf.newaxis] == tf.constant(names)
    if task.positive is not None:
        return is_class[:, 0], known
    return tf.argmax(tf.cast(is_class, tf.int32), axis=1), tf.reduce_any(is_class, axis=1)


def _as_numbers(names: Iterable[str]) -> list[float]:
    """float32's values; NaN, which equals nothing, for a text that is no number."""
    return [float("nan") if number_fault(name) else float(name) for name in names]


def _number_label(inputs: Mapping[str, RawColumn], task: Task) -> tuple[tf.Tensor, tf.Tensor]:
    value = _numbers(inputs, task.column)
    is_float = any(inputs[column].dtype.is_floating for column in task.source_columns)
    rounding = _FLOAT32_ROUNDING if is_float else 0.0
    valid = tf.math.is_finite(value)
    if task.valid_above is not None:
        valid &= _exceeds(value, task.valid_above, rounding)
    if task.divide_by is not None:
        divisor = _numbers(inputs, task.divide_by)
        valid &= tf.math.is_finite(divisor) & (divisor > 0)
        value = tf.math.divide_no_nan(value, divisor)
    if task.above is not None:
        value = tf.cast(_exceeds(value, task.above, rounding), value.dtype)
    elif task.kind == "binary":
        valid &= (value == 0) | (value == 1)
    elif task.log_scale:
        valid &= value >= 0
    return value, valid


def _exceeds(values: tf.Tensor, limit: float, rounding: float) -> tf.Tensor:
    return values > limit + rounding * abs(limit)


def _numbers(inputs: Mapping[str, RawColumn], column: str) -> tf.Tensor:
    """A column of numbers as float64 [N], NaN where missing."""
    tensor = _find(inputs, column)
    if tensor.dtype == tf.string:
        raise ValueError(
            f"column {shown(column)} holds text where numbers are needed; correct the values that"
            " are not numbers, or list it under `categorical`"
        )
    return _dense(column, tensor, lambda values: tf.cast(values, tf.float64), float("nan"))


def _texts(inputs: Mapping[str, RawColumn], column: str) -> tf.Tensor:
    """A column of texts or numbers as string [N], "" where missing."""
    tensor = _find(inputs, column)
    to_text = tf.identity if tensor.dtype == tf.string else _number_to_text
    return _dense(column, tensor, to_text, "")


def _number_to_text(values: tf.Tensor) -> tf.Tensor:
    if values.dtype.is_integer:
        return tf.strings.as_string(values)
    # Integers in a column with gaps are often written with a point: 8.0 is the category "8".
    is_whole = (values == tf.floor(values)) & (tf.abs(values) < _LARGEST_WHOLE)
    whole = tf.strings.as_string(tf.cast(values, tf.int64))
    # Nine digits tell all 32-bit numbers apart.
    text = tf.where(is_whole, whole, tf.strings.as_string(values, precision=9, shortest=True))
    return tf.where(tf.math.is_finite(values), text, "")


def _find(inputs: Mapping[str, RawColumn], column: str) -> RawColumn:
    if column not in inputs:
        similar = difflib.get_close_matches(column, inputs, n=1)
        near = f"did you mean {shown(similar[0])}?" if similar else ""
        hint = near or f"there are: {', '.join(map(brief, inputs))}"
        raise ValueError(f"column {shown(column)} is not in the data; {hint}")
    return inputs[column]


def _dense(
    name: str,
    column: RawColumn,
    convert: Callable[[tf.Tensor], tf.Tensor],
    missing: float | str,
) -> tf.Tensor:
    if isinstance(column, tf.SparseTensor):
        message = f"column {shown(name)} has several values in one row; only one can be used"
        at_most_one = tf.debugging.assert_less_equal(
            column.dense_shape[1], tf.constant(1, tf.int64), message
        )
        # The width is given because that of a column without any value in the batch is 0.
        shape = [column.dense_shape[0], 1]
        with tf.control_dependencies([at_most_one]):
            indices = tf.identity(column.indices)
        single = tf.SparseTensor(indices, convert(column.values), shape)
        column = tf.sparse.to_dense(single, default_value=missing)
    else:
        column = convert(column)
    return tf.reshape(column, [-1])
