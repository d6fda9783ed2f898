"""Raw columns as tensors, and the label that a task makes of them: the one place that knows.

Transform's `preprocessing_fn` puts these operations into its graph; the look at the data runs them
on the values that it has read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import tensorflow as tf

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.validation_messages import nearest
from pcgrad_tfx.data.row_checks import number_fault, plain_number
from pcgrad_tfx.data.truth_values import FALSE_WORDS, TRUE_WORDS
from pcgrad_tfx.errors import shown

# A SparseTensor with at most one value per row, or a dense tensor [N] or [N, 1].
RawColumn: TypeAlias = tf.Tensor | tf.SparseTensor

# Columns of floats are stored as float32. A value that equals a limit in the source file can then
# lie above it by up to 2^-24 of its size, a quotient of two by three times that.
_FLOAT32_ROUNDING = 2.0**-22

# Beyond it a floating number does not fit into an int64.
_LARGEST_WHOLE = 2.0**63


def label(inputs: Mapping[str, RawColumn], task: Task) -> tuple[tf.Tensor, tf.Tensor]:
    """A task's label.

    Args:
        inputs: The raw columns by name; see `preprocessing_fn`.
        task: The task, complete.

    Returns:
        The label, `label_dtype` [N], 0 where it is missing; and where there is one, bool [N].
    """
    value, valid = (_text_label if task.is_text else _number_label)(inputs, task)
    for column, names in (task.only_where or {}).items():
        valid &= tf.reduce_any(_equal(inputs, column, names), axis=1)
    dtype = tf.as_dtype(task.label_dtype)
    return tf.where(valid, tf.cast(value, dtype), tf.zeros([], dtype)), valid


def weight(inputs: Mapping[str, RawColumn], column: str) -> tf.Tensor:
    """A column of weights as float32 [N], 0 where missing, negative or not finite."""
    values = tf.cast(numbers(inputs, column), tf.float32)
    return tf.where(tf.math.is_finite(values) & (values > 0), values, 0.0)


def numbers(inputs: Mapping[str, RawColumn], column: str) -> tf.Tensor:
    """A column of numbers, or of truth words (1 and 0), as float64 [N], NaN where missing."""
    tensor = _find(inputs, column)
    if tensor.dtype == tf.string:
        return _truth_numbers(texts(inputs, column), column)
    return _dense(column, tensor, lambda values: tf.cast(values, tf.float64), float("nan"))


def texts(inputs: Mapping[str, RawColumn], column: str) -> tf.Tensor:
    """A column of texts or numbers as string [N], "" where missing."""
    tensor = _find(inputs, column)
    to_text = tf.identity if tensor.dtype == tf.string else _number_to_text
    return _dense(column, tensor, to_text, "")


def _truth_numbers(values: tf.Tensor, column: str) -> tf.Tensor:
    words = tf.strings.lower(tf.strings.strip(values))[:, tf.newaxis]
    is_true = tf.reduce_any(words == tf.constant(TRUE_WORDS), axis=1)
    is_false = tf.reduce_any(words == tf.constant(FALSE_WORDS), axis=1)
    message = (
        f"column {shown(column)} holds text that is neither a number nor a truth value; "
        "correct it, or list the column under `categorical`"
    )
    is_known = tf.debugging.Assert(tf.reduce_all(is_true | is_false | (values == "")), [message])
    with tf.control_dependencies([is_known]):
        known = tf.where(is_false, tf.zeros([], tf.float64), float("nan"))
        return tf.where(is_true, tf.ones([], tf.float64), known)


def _text_label(inputs: Mapping[str, RawColumn], task: Task) -> tuple[tf.Tensor, tf.Tensor]:
    is_class = _equal(inputs, task.column, task.classes or [str(task.positive)])
    if task.positive is not None:
        return is_class[:, 0], texts(inputs, task.column) != ""
    return tf.argmax(tf.cast(is_class, tf.int32), axis=1), tf.reduce_any(is_class, axis=1)


def _equal(inputs: Mapping[str, RawColumn], column: str, names: Iterable[str]) -> tf.Tensor:
    """Whether the values of a column have these names, bool [N, names]; not where missing."""
    dtype = _find(inputs, column).dtype
    if dtype.is_floating:
        # As numbers: 1.50 is 1.5, and neither is exactly what float32 holds.
        values = tf.cast(numbers(inputs, column), tf.float32)
        return values[:, tf.newaxis] == tf.constant(_as_numbers(names), tf.float32)
    if dtype.is_integer:
        names = map(plain_number, names)
    return texts(inputs, column)[:, tf.newaxis] == tf.constant(list(names), tf.string)


def _as_numbers(names: Iterable[str]) -> list[float]:
    """float32's values; NaN, which equals nothing, for a text that is no number."""
    return [float("nan") if number_fault(name) else float(name) for name in names]


def _number_label(inputs: Mapping[str, RawColumn], task: Task) -> tuple[tf.Tensor, tf.Tensor]:
    value = numbers(inputs, task.column)
    is_float = any(inputs[column].dtype.is_floating for column in task.source_columns)
    rounding = _FLOAT32_ROUNDING if is_float else 0.0
    valid = tf.math.is_finite(value)
    if task.valid_above is not None:
        valid &= _exceeds(value, task.valid_above, rounding)
    if task.divide_by is not None:
        divisor = numbers(inputs, task.divide_by)
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
        raise ValueError(f"column {shown(column)} is not in the data; {nearest(column, inputs)}")
    return inputs[column]


def _dense(
    name: str, column: RawColumn, convert: Callable[[tf.Tensor], tf.Tensor], missing: float | str
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
