"""The gradients of several tasks with respect to one variable, laid out for inner products.

The layout is [chunks, tasks, elements]: products are taken chunk by chunk in float32 at least and
summed over the chunks in float64, which is nearly as exact as float64 throughout, at the price of
float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

# Elements of one task in one chunk: long enough for a matrix product to be efficient, short enough
# for its float32 sum to be exact to a few units in the last place.
_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class GradientStack:
    """Gradients of t tasks with respect to one variable.

    Attributes:
        tasks: The indices, among all T, of the t tasks that reach the variable.
        chunks: [chunks, t, elements], float32 or float64; zeros pad the last elements.
        shape: The shape of the dense gradient, or of the touched rows of a sparse one.
        indices: The rows touched, [rows], each once; `None` for a dense gradient.
        dense_shape: The variable's shape if the gradient is sparse.
    """

    tasks: tuple[int, ...]
    chunks: tf.Tensor
    shape: tf.Tensor | tf.TensorShape
    indices: tf.Tensor | None = None
    dense_shape: tf.Tensor | None = None

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products of the tasks' gradients, float64.

        Args:
            dtype: Of the products within a chunk; that of the chunks by default.
        """
        chunks = self.chunks if dtype is None else tf.cast(self.chunks, dtype)
        products = tf.matmul(chunks, chunks, transpose_b=True)
        return tf.reduce_sum(tf.cast(products, tf.float64), axis=0)

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor | tf.IndexedSlices:
        """The sum over the tasks of weight × gradient.

        Args:
            weights: Floating-point tensor [T] with a weight for each of all the tasks.

        Returns:
            A gradient shaped like the variable; sparse if the stack is.
        """
        own = tf.gather(tf.cast(weights, self.chunks.dtype), self.tasks)
        summed = tf.matmul(own[tf.newaxis, tf.newaxis, :], self.chunks)
        if self.indices is not None:
            values = tf.reshape(summed, self.shape)
            return tf.IndexedSlices(values, self.indices, self.dense_shape)
        padded = tf.reshape(summed, [-1])
        return tf.reshape(padded[: tf.reduce_prod(self.shape)], self.shape)


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
    if all(isinstance(gradient, tf.IndexedSlices) for gradient in values):
        return _stack_sparse(tasks, values, shape)
    return _stack_dense(tasks, [tf.convert_to_tensor(gradient) for gradient in values], shape)


def flat_chunks(gradients: list[tf.Tensor]) -> tf.Tensor:
    """Lays out equally long flat gradients.

    Args:
        gradients: t tensors of shape [n].

    Returns:
        [chunks, t, elements] with chunks × elements ≥ n, zeros at the end, in at least float32.
    """
    size = gradients[0].shape[0]
    elements = _chunk_elements(size)
    rows = []
    for gradient in gradients:
        flat = tf.cast(gradient, _accumulation_dtype(gradient.dtype))
        if size is None or size % elements:
            flat = tf.pad(flat, [[0, -tf.shape(flat)[0] % elements]])
        rows.append(tf.reshape(flat, [-1, elements]))
    return tf.stack(rows, axis=1)


def _accumulation_dtype(dtype: tf.DType) -> tf.DType:
    """The dtype in which inner products of gradients of a dtype are taken: float32 at least."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def _stack_dense(
    tasks: tuple[int, ...], gradients: list[tf.Tensor], shape: tf.TensorShape
) -> GradientStack:
    if not shape.is_fully_defined():
        shape = tf.shape(gradients[0])
        flat = [tf.reshape(gradient, [-1]) for gradient in gradients]
    else:
        # The static size lets most variables do without padding.
        flat = [tf.reshape(gradient, [shape.num_elements()]) for gradient in gradients]
    return GradientStack(tasks, flat_chunks(flat), shape)


def _stack_sparse(
    tasks: tuple[int, ...], slices: list[tf.IndexedSlices], shape: tf.TensorShape
) -> GradientStack:
    """Sums each task's repeated rows and aligns the tasks on the union of the rows touched."""
    inner = shape[1:]
    values = [tf.reshape(s.values, [-1, *inner]) for s in slices]
    # The widest dtype, for tables looked up with int32 in one task and int64 in another.
    wide = any(s.indices.dtype == tf.int64 for s in slices)
    indices = [tf.cast(s.indices, tf.int64 if wide else tf.int32) for s in slices]
    rows, position = tf.unique(tf.concat(indices, axis=0))
    task = tf.repeat(tf.range(len(slices)), tf.stack([tf.size(i) for i in indices]))
    # Each touched row is a chunk: one pass sums the repeated rows and makes the layout. (XLA must
    # be able to bound the number of segments, which arithmetic beyond a product would prevent.)
    summed = tf.math.unsorted_segment_sum(
        tf.cast(tf.concat(values, axis=0), _accumulation_dtype(values[0].dtype)),
        position * len(slices) + task,
        tf.size(rows) * len(slices),
    )
    return GradientStack(
        tasks,
        tf.reshape(summed, [tf.size(rows), len(slices), inner.num_elements()]),
        tf.concat([tf.shape(rows), inner], axis=0),
        rows,
        tf.constant(shape.as_list(), rows.dtype),
    )


def _chunk_elements(size: int | None) -> int:
    """Elements of one chunk: a divisor of the size where there is a long enough one."""
    if size is None:
        return _CHUNK
    if size <= _CHUNK:
        return max(1, size)
    divisors = (c for c in range(_CHUNK, _CHUNK // 8, -1) if size % c == 0)
    return next(divisors, _CHUNK)
