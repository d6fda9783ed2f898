"""The gradients of several tasks with respect to one variable, and their inner products.

Products are taken chunk by chunk in float32 at least and summed over the chunks in float64, which
is nearly as exact as float64 throughout, at the price of float32. Large gradients of few tasks stay
where they are, and each pair is multiplied. Otherwise the gradients are copied into one tensor
[chunks, tasks, elements], where one matrix product takes all pairs at once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol

import tensorflow as tf

# Elements of one task in one chunk: long enough for a matrix product to be efficient, short enough
# for its float32 sum to be exact to a few units in the last place.
_CHUNK = 512

# As measured: up to so many tasks it is faster to multiply gradients of at least `_LARGE` elements
# pair by pair, and to add them one by one, than to copy them for a matrix product.
_PAIRWISE_TASKS = 5
_ADDED_TASKS = 8
_LARGE = 2**16


class TaskStack(Protocol):
    """What the Gram matrix and the update need of one variable's task gradients."""

    @property
    def tasks(self) -> tuple[int, ...]:
        """The indices, among all T, of the t tasks that reach the variable."""

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products of the tasks' gradients, float64."""

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor | tf.IndexedSlices:
        """The sum over the tasks of weight × gradient, for weights [T]."""


@dataclasses.dataclass(frozen=True)
class GradientStack:
    """Gradients of t tasks with respect to one variable.

    Attributes:
        tasks: The indices, among all T, of the t tasks that reach the variable.
        gradients: t tensors of the variable's shape, float32 or float64. Of a sparse gradient: the
            values of the rows touched, [chunks, elements], several rows in one chunk, zeros at the
            end.
        variable_shape: The variable's shape.
        rows: The indices of the rows touched, each once; `None` for a dense gradient.
        chunks: The gradients in one tensor [chunks, t, elements], zeros at the end; `None` if no
            product needs it.
    """

    tasks: tuple[int, ...]
    gradients: tuple[tf.Tensor, ...]
    variable_shape: tf.TensorShape
    rows: tf.Tensor | None
    chunks: tf.Tensor | None

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.gradients[0].dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products of the tasks' gradients, float64.

        Args:
            dtype: Of the products within a chunk; that of the gradients by default.
        """
        dtype = dtype or self.dtype
        if self.chunks is not None:
            chunks = tf.cast(self.chunks, dtype)
            products = tf.matmul(chunks, chunks, transpose_b=True)
            return tf.reduce_sum(tf.cast(products, tf.float64), axis=0)
        count = len(self.tasks)
        chunks = [_in_chunks(tf.cast(gradient, dtype)) for gradient in self.gradients]
        products = {
            (i, j): tf.reduce_sum(tf.cast(tf.reduce_sum(chunks[i] * chunks[j], axis=1), tf.float64))
            for i, j in itertools.combinations_with_replacement(range(count), 2)
        }
        ordered = [products[min(i, j), max(i, j)] for i in range(count) for j in range(count)]
        return tf.reshape(tf.stack(ordered), [count, count])

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor | tf.IndexedSlices:
        """The sum over the tasks of weight × gradient.

        Args:
            weights: Floating-point tensor [T] with a weight for each of all the tasks.

        Returns:
            A gradient shaped like the variable; sparse if the stack is.
        """
        weights = weights_of(self.tasks, tf.cast(weights, self.dtype))
        if _is_large(self.gradients[0]) and len(self.tasks) <= _ADDED_TASKS:
            parts = tf.unstack(weights, num=len(self.tasks))
            summed = tf.add_n([w * g for w, g in zip(parts, self.gradients, strict=True)])
        else:
            products = tf.matmul(tf.reshape(weights, [1, 1, len(self.tasks)]), self.chunks)
            summed = _without_padding(products, self.gradients[0])
        if self.rows is None:
            return summed
        values = tf.reshape(summed, [-1, *self.variable_shape[1:]])[: tf.size(self.rows)]
        shape = tf.constant(self.variable_shape.as_list(), self.rows.dtype)
        return tf.IndexedSlices(values, self.rows, shape)


def stack_gradients(
    gradients: Mapping[int, tf.Tensor | tf.IndexedSlices], shape: tf.TensorShape
) -> GradientStack:
    """Stacks the gradients of several tasks with respect to one variable.

    Args:
        gradients: Gradient by index of the task. They stay sparse if all of them are.
        shape: The variable's shape.

    Returns:
        The stack, in at least float32.
    """
    tasks = tuple(gradients)
    values = list(gradients.values())
    rows = None
    if all(isinstance(gradient, tf.IndexedSlices) for gradient in values):
        rows, values = _sum_repeated_rows(values, shape)
    values = [tf.convert_to_tensor(gradient) for gradient in values]
    values = [tf.cast(gradient, accumulation_dtype(gradient.dtype)) for gradient in values]
    if rows is None and shape.is_fully_defined():
        # A static size lets most variables do without padding.
        values = [v if v.shape == shape else tf.reshape(v, shape) for v in values]
    chunks = None
    if not _is_large(values[0]) or len(tasks) > _PAIRWISE_TASKS:
        chunks = tf.stack([_in_chunks(value) for value in values], axis=1)
    return GradientStack(tasks, tuple(values), shape, rows, chunks)


def weights_of(tasks: tuple[int, ...], weights: tf.Tensor) -> tf.Tensor:
    """Of all tasks' weights [T] those of some tasks, [t]."""
    return weights if weights.shape[0] == len(tasks) else tf.gather(weights, tasks)


def accumulation_dtype(dtype: tf.DType) -> tf.DType:
    """The dtype in which inner products of gradients of a dtype are taken: float32 at least."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def of_widest_dtype(indices: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Rows of one table, looked up with int32 in one place and with int64 in another."""
    wide = any(one.dtype == tf.int64 for one in indices)
    return [tf.cast(one, tf.int64 if wide else tf.int32) for one in indices]


def _sum_repeated_rows(
    slices: list[tf.IndexedSlices], dense_shape: tf.TensorShape
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Aligns sparse gradients on the union of the rows they touch.

    Returns:
        The rows, each once, and each gradient's sums over its repeated rows, [chunks, elements]:
        some rows in one chunk, zeros at the end.
    """
    # Most often all tasks look up the same rows, and these need to be compared only once.
    lookups: list[tf.Tensor] = []
    lookup_of = []
    for one in slices:
        known = [i for i, other in enumerate(lookups) if _are_same(one.indices, other)]
        if not known:
            lookups.append(one.indices)
        lookup_of.append(known[0] if known else len(lookups) - 1)
    indices = of_widest_dtype(lookups)
    rows, position = tf.unique(tf.concat(indices, axis=0))
    positions = [position]
    if len(indices) > 1:
        positions = tf.split(position, [tf.size(one) for one in indices])
    # The number of rows touched is known too late for XLA; this bound is known from the shapes.
    width = dense_shape[1:].num_elements()
    in_one_chunk = max(1, _CHUNK // max(1, width))
    most = sum(one.shape[0] or tf.shape(one)[0] for one in indices)
    most = min(most, dense_shape[0]) if isinstance(most, int) else tf.minimum(most, dense_shape[0])
    chunks = (most + in_one_chunk - 1) // in_one_chunk
    summed = [
        tf.math.unsorted_segment_sum(
            tf.reshape(tf.cast(one.values, accumulation_dtype(one.values.dtype)), [-1, width]),
            positions[lookup],
            chunks * in_one_chunk,
        )
        for one, lookup in zip(slices, lookup_of, strict=True)
    ]
    return rows, [tf.reshape(one, [chunks, in_one_chunk * width]) for one in summed]


def _are_same(one: tf.Tensor, other: tf.Tensor, depth: int = 6) -> bool:
    """Whether two tensors of a graph certainly have the same value; False where it is not known.

    Every task's backward pass makes the indices of the same lookup anew, by the same operations.
    """
    if one is other:
        return True
    if tf.executing_eagerly() or depth == 0:
        return False
    left, right = one.op, other.op
    return (
        left.type == right.type
        and not left.op_def.is_stateful
        and one.value_index == other.value_index
        and left.node_def.attr == right.node_def.attr
        and len(left.inputs) == len(right.inputs)
        and all(map(_are_same, left.inputs, right.inputs, [depth - 1] * len(left.inputs)))
    )


def _is_large(gradient: tf.Tensor) -> bool:
    size = gradient.shape.num_elements()
    return size is None or size >= _LARGE


def _in_chunks(gradient: tf.Tensor) -> tf.Tensor:
    """[chunks, elements], with zeros at the end."""
    size = gradient.shape.num_elements()
    width = gradient.shape[-1] if gradient.shape.rank else None
    if size is None and width and _CHUNK // 8 <= width <= 2 * _CHUNK:
        return tf.reshape(gradient, [-1, width])
    elements = _chunk_elements(size)
    if size is None or size % elements:
        gradient = tf.reshape(gradient, [-1])
        gradient = tf.pad(gradient, [[0, -tf.size(gradient) % elements]])
    return tf.reshape(gradient, [-1, elements])


def _without_padding(chunks: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """What `_in_chunks` laid out, in the shape that it came in."""
    size = gradient.shape.num_elements()
    if size is None or size != chunks.shape.num_elements():
        chunks = tf.reshape(chunks, [-1])[: tf.size(gradient)]
    return tf.reshape(chunks, tf.shape(gradient) if size is None else gradient.shape)


def _chunk_elements(size: int | None) -> int:
    """Elements of one chunk: a divisor of the size where there is a long enough one."""
    if size is None:
        return _CHUNK
    if size <= _CHUNK:
        return max(1, size)
    divisors = (c for c in range(_CHUNK, _CHUNK // 8, -1) if size % c == 0)
    return next(divisors, _CHUNK)
