"""Inner products of kernels' gradients without the gradients.

A layer z = A W with N rows of input A [N, in] and, for each of t tasks, the gradient D_s [N, out]
of the task's loss by z: the gradient by the kernel is g_s = Aᵀ D_s, and

    ⟨g_s, g_t⟩ = Σ D_s ∘ (A Aᵀ D_t),

where the N×N matrix A Aᵀ is the same for all pairs (for a single row: the product of two squared
norms, as in Goodfellow 2015, arXiv 1510.01799). With fewer rows than the kernel has, that takes
fewer multiplications than t gradients; and their weighted sum is Aᵀ Σ_t w_t D_t, one product
whatever t. With more rows than that, the gradients of all tasks are one product, Aᵀ [D_1 … D_t].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from pcgrad.layerwise.cost import most_rows
from pcgrad.stacks import accumulation_dtype, weights_of

# How much smaller than that of independent rows a gradient's squared norm may be before the
# rounding of A Aᵀ, which is as large as the rows are, shows in it.
_CANCELLED = 64.0


@dataclasses.dataclass(frozen=True)
class ProductStack:
    """The gradients of t tasks with respect to one kernel, as factors.

    Attributes:
        tasks: The indices, among all T, of the t tasks that reach the kernel.
        rows: A, the layer's input, [N, in], float32 or float64.
        differences: D, the task gradients of its linear output, [N, t, out], of the same dtype.
        gradients: Aᵀ D, [in, t, out]; empty, [0, t, out], where inner products are taken by rows.
        variable_shape: The kernel's shape, of in · out elements.
    """

    tasks: tuple[int, ...]
    rows: tf.Tensor
    differences: tf.Tensor
    gradients: tf.Tensor
    variable_shape: tf.TensorShape

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.rows.dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products of the tasks' gradients, float64.

        Args:
            dtype: Of the products; that of the factors by default.
        """
        dtype = dtype or self.dtype

        def by_gradients() -> tf.Tensor:
            gradients = tf.cast(self.gradients, dtype)
            return _sum_of_products(gradients, gradients)

        return self._by_rows_or(by_gradients, lambda: _by_rows(self.rows, self.differences, dtype))

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum over the tasks of weight × gradient.

        Args:
            weights: Floating-point tensor [T] with a weight for each of all the tasks.

        Returns:
            A gradient shaped like the kernel.
        """
        weights = weights_of(self.tasks, tf.cast(weights, self.dtype))[tf.newaxis, tf.newaxis, :]

        def by_rows() -> tf.Tensor:
            summed = tf.matmul(weights, self.differences)[:, 0]
            return tf.matmul(self.rows, summed, transpose_a=True)

        summed = self._by_rows_or(lambda: tf.matmul(weights, self.gradients)[:, 0], by_rows)
        return tf.reshape(summed, self.variable_shape)

    def _by_rows_or(
        self, by_gradients: Callable[[], tf.Tensor], by_rows: Callable[[], tf.Tensor]
    ) -> tf.Tensor:
        if self.gradients.shape[0] is not None:
            return by_gradients() if self.gradients.shape[0] else by_rows()
        return tf.cond(tf.shape(self.gradients)[0] > 0, by_gradients, by_rows)


def stack_products(
    rows: Sequence[tf.Tensor],
    differences: Sequence[tf.Tensor],
    tasks: tuple[int, ...],
    shape: tf.TensorShape,
) -> ProductStack:
    """Stacks the factors of a kernel that is used once or several times.

    Args:
        rows: For each use the layer's input, [..., in].
        differences: For each use the task gradients of its linear output, [rows, t, out].
        tasks: The indices of the t tasks.
        shape: The kernel's shape.
    """
    dtype = accumulation_dtype(rows[0].dtype)
    flat = [tf.cast(tf.reshape(one, [-1, one.shape[-1]]), dtype) for one in rows]
    cast = [tf.cast(one, dtype) for one in differences]
    all_rows = flat[0] if len(flat) == 1 else tf.concat(flat, axis=0)
    all_differences = cast[0] if len(cast) == 1 else tf.concat(cast, axis=0)
    inputs, outputs, count = all_rows.shape[1], all_differences.shape[2], len(tasks)
    most = most_rows(inputs, outputs, count)

    def none() -> tf.Tensor:
        return tf.zeros([0, count, outputs], dtype)

    def gradients() -> tf.Tensor:
        flat = tf.reshape(all_differences, [-1, count * outputs])
        product = tf.matmul(all_rows, flat, transpose_a=True)
        return tf.reshape(product, [inputs, count, outputs])

    if all_rows.shape[0] is not None:
        made = none() if all_rows.shape[0] <= most else gradients()
    else:
        made = tf.cond(tf.shape(all_rows)[0] <= most, none, gradients)
    return ProductStack(tasks, all_rows, all_differences, made, shape)


def gradient_by_kernel(
    rows: Sequence[tf.Tensor], differences: Sequence[tf.Tensor], shape: tf.TensorShape
) -> tf.Tensor:
    """One task's gradient by a kernel: Σ over its uses of Aᵀ D, in float32 at least.

    Args:
        rows: For each use the layer's input, [..., in].
        differences: For each use the gradient of its linear output, [rows, out].
        shape: The kernel's shape.
    """
    dtype = accumulation_dtype(rows[0].dtype)
    products = [
        tf.matmul(
            tf.cast(tf.reshape(one, [-1, one.shape[-1]]), dtype),
            tf.cast(other, dtype),
            transpose_a=True,
        )
        for one, other in zip(rows, differences, strict=True)
    ]
    return tf.reshape(tf.add_n(products), shape)


def _by_rows(rows: tf.Tensor, differences: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Σ D_s ∘ (A Aᵀ D_t); in float64 where gradients of float32 rows cancel each other."""

    def products(dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        a, d = tf.cast(rows, dtype), tf.cast(differences, dtype)
        similarities = tf.matmul(a, a, transpose_b=True)
        flat = tf.reshape(d, [-1, d.shape[1] * d.shape[2]])
        smoothed = tf.reshape(tf.matmul(similarities, flat), tf.shape(d))
        smoothed = tf.ensure_shape(smoothed, d.shape)
        return _sum_of_products(d, smoothed), tf.linalg.diag_part(similarities)

    gramian, squared_rows = products(dtype)
    if dtype == tf.float64:
        return gramian
    # [N, t]: what independent rows would add to the gradients' squared norms.
    squares = tf.reduce_sum(tf.square(differences), axis=2) * squared_rows[:, tf.newaxis]
    independent = tf.cast(tf.reduce_sum(squares, axis=0), tf.float64)
    cancelled = tf.reduce_any(tf.linalg.diag_part(gramian) * _CANCELLED < independent)
    return tf.cond(cancelled, lambda: products(tf.float64)[0], lambda: gramian)


def _sum_of_products(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Σ_n one[n] · other[n]ᵀ, the sum in float64."""
    products = tf.matmul(one, other, transpose_b=True)
    return tf.reduce_sum(tf.cast(products, tf.float64), axis=0)
