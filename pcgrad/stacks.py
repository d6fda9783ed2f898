"""The gradients of several tasks with respect to one variable, and their inner products.

Products are taken chunk by chunk in float32 at least and summed over the chunks in float64, which
is nearly as exact as float64 throughout, at the price of float32.

Three forms, all of them a `TaskStack`:

- `SeparateGradients`: large gradients of few tasks stay where they are; each pair is multiplied.
- `ChunkedGradients`: all others are copied into one tensor, where one matrix product takes all
  pairs at once.
- `SparseGradients`: one of these two, of the rows that any task touches.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol

import tensorflow as tf

from pcgrad.sparse_rows import sum_repeated_rows

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
        """The t×t inner products of the tasks' gradients, float64.

        Args:
            dtype: Of the products within a chunk; that of the gradients by default.
        """

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor | tf.IndexedSlices:
        """The sum over the tasks of weight × gradient, shaped like the variable.

        Args:
            weights: Floating-point tensor [T] with a weight for each of all the tasks.
        """


@dataclasses.dataclass(frozen=True)
class SeparateGradients:
    """Dense gradients of t tasks, multiplied pair by pair and added one by one.

    Attributes:
        tasks: The indices, among all T, of the t tasks.
        gradients: t tensors of one shape, float32 or float64.
    """

    tasks: tuple[int, ...]
    gradients: tuple[tf.Tensor, ...]

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.gradients[0].dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products; see `TaskStack`."""
        chunks = [_in_chunks(tf.cast(one, dtype or self.dtype)) for one in self.gradients]
        count = len(chunks)
        products = {
            (i, j): tf.reduce_sum(tf.cast(tf.reduce_sum(chunks[i] * chunks[j], axis=1), tf.float64))
            for i, j in itertools.combinations_with_replacement(range(count), 2)
        }
        ordered = [products[min(i, j), max(i, j)] for i in range(count) for j in range(count)]
        return tf.reshape(tf.stack(ordered), [count, count])

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum of weight × gradient; see `TaskStack`."""
        weights = tf.unstack(weights_of(self.tasks, weights, self.dtype), num=len(self.tasks))
        return tf.add_n([w * g for w, g in zip(weights, self.gradients, strict=True)])


@dataclasses.dataclass(frozen=True)
class ChunkedGradients:
    """Dense gradients of t tasks in one tensor, for matrix products of all tasks at once.

    Attributes:
        tasks: The indices, among all T, of the t tasks.
        gradients: t tensors of one shape, float32 or float64.
        chunks: The same in one tensor [chunks, t, elements], zeros at the end.
    """

    tasks: tuple[int, ...]
    gradients: tuple[tf.Tensor, ...]
    chunks: tf.Tensor

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.chunks.dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products; see `TaskStack`."""
        chunks = tf.cast(self.chunks, dtype or self.dtype)
        products = tf.matmul(chunks, chunks, transpose_b=True)
        return tf.reduce_sum(tf.cast(products, tf.float64), axis=0)

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum of weight × gradient; see `TaskStack`."""
        if _is_large(self.gradients[0]) and len(self.tasks) <= _ADDED_TASKS:
            return SeparateGradients(self.tasks, self.gradients).weighted_sum(weights)
        weights = weights_of(self.tasks, weights, self.dtype)
        products = tf.matmul(tf.reshape(weights, [1, 1, len(self.tasks)]), self.chunks)
        return _without_padding(products, self.gradients[0])


@dataclasses.dataclass(frozen=True)
class SparseGradients:
    """Sparse gradients of t tasks.

    Attributes:
        rows: The indices of the rows that any of the tasks touches, each once.
        values: The gradients by these rows, [chunks, elements] for each task: several rows in one
            chunk, zeros at the end.
        variable_shape: The variable's shape.
    """

    rows: tf.Tensor
    values: SeparateGradients | ChunkedGradients
    variable_shape: tf.TensorShape

    @property
    def tasks(self) -> tuple[int, ...]:
        """The indices, among all T, of the t tasks that reach the variable."""
        return self.values.tasks

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.values.dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products; see `TaskStack`."""
        return self.values.gram_matrix(dtype)

    def weighted_sum(self, weights: tf.Tensor) -> tf.IndexedSlices:
        """The sum of weight × gradient; see `TaskStack`."""
        summed = tf.reshape(self.values.weighted_sum(weights), [-1, *self.variable_shape[1:]])
        shape = tf.constant(self.variable_shape.as_list(), self.rows.dtype)
        return tf.IndexedSlices(summed[: tf.size(self.rows)], self.rows, shape)


def stack_gradients(
    gradients: Mapping[int, tf.Tensor | tf.IndexedSlices], shape: tf.TensorShape
) -> TaskStack:
    """Stacks the gradients of several tasks with respect to one variable.

    Args:
        gradients: Gradient by index of the task. They stay sparse if all of them are.
        shape: The variable's shape.

    Returns:
        The stack, in at least float32.
    """
    tasks, found = tuple(gradients), list(gradients.values())
    if all(isinstance(gradient, tf.IndexedSlices) for gradient in found):
        slices = [tf.IndexedSlices(_widened(one.values), one.indices) for one in found]
        rows, values = sum_repeated_rows(slices, shape, _CHUNK)
        return SparseGradients(rows, _stack_dense(tasks, values), shape)
    dense = [_widened(tf.convert_to_tensor(gradient)) for gradient in found]
    if shape.is_fully_defined():
        # A static size lets most variables do without padding.
        dense = [one if one.shape == shape else tf.reshape(one, shape) for one in dense]
    return _stack_dense(tasks, dense)


def _stack_dense(
    tasks: tuple[int, ...], gradients: Sequence[tf.Tensor]
) -> SeparateGradients | ChunkedGradients:
    if _is_large(gradients[0]) and len(tasks) <= _PAIRWISE_TASKS:
        return SeparateGradients(tasks, tuple(gradients))
    chunks = tf.stack([_in_chunks(gradient) for gradient in gradients], axis=1)
    return ChunkedGradients(tasks, tuple(gradients), chunks)


def weights_of(tasks: tuple[int, ...], weights: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Of all tasks' weights [T] those of some tasks, [t], of a dtype."""
    weights = tf.cast(weights, dtype)
    return weights if weights.shape[0] == len(tasks) else tf.gather(weights, tasks)


def accumulation_dtype(dtype: tf.DType) -> tf.DType:
    """The dtype in which inner products of gradients of a dtype are taken: float32 at least."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def _widened(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, accumulation_dtype(values.dtype))


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
