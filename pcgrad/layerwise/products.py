"""Inner products of kernels' gradients without the gradients.

A layer z = A W with N rows of input A [N, in] and, for each of t tasks, the gradient D_s [N, out]
of the task's loss by z: the gradient by the kernel is g_s = Aᵀ D_s, and

    ⟨g_s, g_t⟩ = Σ D_s ∘ (A Aᵀ D_t),

where the N×N matrix A Aᵀ is the same for all pairs (for a single row: the product of two squared
norms, as in Goodfellow 2015, arXiv 1510.01799). With fewer rows than the kernel has, that takes
fewer multiplications than t gradients; and their weighted sum is Aᵀ Σ_t w_t D_t, one product
whatever t. With more rows than that, the gradients of all tasks are one product, Aᵀ [D_1 … D_t].

A bias that is added to z is a further row of the kernel, for an input that is always 1: the inner
products of both together are Σ D_s ∘ ((A Aᵀ + 1) D_t), its gradient is the sum of D's rows.
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
        output_gradients: D, the task gradients of its linear output, [N, t, out], of the same
            dtype; both are without rows where inner products are taken by gradients.
        gradients: Aᵀ D, [in, t, out], and with a bias its gradients as one more row; empty,
            [0, t, out], where inner products are taken by rows.
        variable_shape: The kernel's shape, of in · out elements.
        with_bias: Whether the inner products include those by the bias.
    """

    tasks: tuple[int, ...]
    rows: tf.Tensor
    output_gradients: tf.Tensor
    gradients: tf.Tensor
    variable_shape: tf.TensorShape
    with_bias: bool = False

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

        def by_rows() -> tf.Tensor:
            return _by_rows(self.rows, self.output_gradients, dtype, self.with_bias)

        return self._by_rows_or(by_gradients, by_rows)

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum over the tasks of weight × gradient.

        Args:
            weights: Floating-point tensor [T] with a weight for each of all the tasks.

        Returns:
            A gradient shaped like the kernel.
        """
        gradients = self.gradients[: self.rows.shape[1]]
        # Outside of the condition, so that TensorFlow sees that the bias needs the same.
        output_gradients = self._weighted(weights, self.output_gradients)
        summed = self._by_rows_or(
            lambda: self._weighted(weights, gradients),
            lambda: tf.matmul(self.rows, output_gradients, transpose_a=True),
        )
        return tf.reshape(summed, self.variable_shape)

    def weighted_bias(self, weights: tf.Tensor) -> tf.Tensor:
        """The same for the bias, [out]."""
        # One of them is empty, and its sum zero.
        output_gradients = self._weighted(weights, self.output_gradients)
        gradients = self._weighted(weights, self.gradients[self.rows.shape[1] :])
        return tf.reduce_sum(output_gradients, axis=0) + tf.reduce_sum(gradients, axis=0)

    def _weighted(self, weights: tf.Tensor, by_task: tf.Tensor) -> tf.Tensor:
        """[n, out] from [n, t, out], for weights [T]."""
        weights = weights_of(self.tasks, tf.cast(weights, self.dtype))
        return tf.matmul(weights[tf.newaxis, tf.newaxis, :], by_task)[:, 0]

    def _by_rows_or(
        self, by_gradients: Callable[[], tf.Tensor], by_rows: Callable[[], tf.Tensor]
    ) -> tf.Tensor:
        if self.gradients.shape[0] is not None:
            return by_gradients() if self.gradients.shape[0] else by_rows()
        return tf.cond(tf.shape(self.gradients)[0] > 0, by_gradients, by_rows)


@dataclasses.dataclass(frozen=True)
class BiasStack:
    """The gradients of t tasks with respect to the bias that goes with a kernel.

    Attributes:
        product: The kernel's gradients, whose inner products include the bias's.
    """

    product: ProductStack

    @property
    def tasks(self) -> tuple[int, ...]:
        """The indices, among all T, of the t tasks that reach the bias."""
        return self.product.tasks

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.product.dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """Zeros, [t, t], float64: the kernel's stack has the inner products."""
        return tf.zeros([len(self.tasks)] * 2, tf.float64)

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum over the tasks of weight × gradient, [out], for weights [T]."""
        return self.product.weighted_bias(weights)


def stack_products(
    rows: Sequence[tf.Tensor],
    output_gradients: Sequence[tf.Tensor],
    tasks: tuple[int, ...],
    shape: tf.TensorShape,
    with_bias: bool = False,
) -> ProductStack:
    """Stacks the factors of a kernel that is used once or several times.

    Args:
        rows: For each use the layer's input, [..., in].
        output_gradients: For each use the task gradients of its linear output, [rows, t, out].
        tasks: The indices of the t tasks.
        shape: The kernel's shape.
        with_bias: Whether a bias, added to every linear output, goes with the kernel.
    """
    dtype = accumulation_dtype(rows[0].dtype)
    flat = [tf.cast(tf.reshape(one, [-1, one.shape[-1]]), dtype) for one in rows]
    cast = [tf.cast(one, dtype) for one in output_gradients]
    all_rows = flat[0] if len(flat) == 1 else tf.concat(flat, axis=0)
    all_output_gradients = cast[0] if len(cast) == 1 else tf.concat(cast, axis=0)
    inputs, outputs, count = all_rows.shape[1], all_output_gradients.shape[2], len(tasks)
    most = most_rows(inputs, outputs, count)

    def none() -> tf.Tensor:
        return tf.zeros([0, count, outputs], dtype)

    def gradients() -> tf.Tensor:
        a = tf.pad(all_rows, [[0, 0], [0, 1]], constant_values=1) if with_bias else all_rows
        flat = tf.reshape(all_output_gradients, [-1, count * outputs])
        product = tf.matmul(a, flat, transpose_a=True)
        return tf.reshape(product, [a.shape[1], count, outputs])

    rows_known = all_rows.shape[0]
    if rows_known is None:
        few = tf.shape(all_rows)[0] <= most
        made, kept = tf.cond(few, none, gradients), tf.where(few, tf.shape(all_rows)[0], 0)
    elif rows_known <= most:
        made, kept = none(), rows_known
    else:
        made, kept = gradients(), 0
    # Of the first dimension, a part is no copy.
    return ProductStack(tasks, all_rows[:kept], all_output_gradients[:kept], made, shape, with_bias)


def gradient_by_kernel(
    rows: Sequence[tf.Tensor], output_gradients: Sequence[tf.Tensor], shape: tf.TensorShape
) -> tf.Tensor:
    """One task's gradient by a kernel: Σ over its uses of Aᵀ D, in float32 at least.

    Args:
        rows: For each use the layer's input, [..., in].
        output_gradients: For each use the gradient of its linear output, [rows, out].
        shape: The kernel's shape.
    """
    dtype = accumulation_dtype(rows[0].dtype)
    products = [
        tf.matmul(
            tf.cast(tf.reshape(one, [-1, one.shape[-1]]), dtype),
            tf.cast(other, dtype),
            transpose_a=True,
        )
        for one, other in zip(rows, output_gradients, strict=True)
    ]
    return tf.reshape(tf.add_n(products), shape)


def _by_rows(
    rows: tf.Tensor, output_gradients: tf.Tensor, dtype: tf.DType, with_bias: bool
) -> tf.Tensor:
    """Σ D_s ∘ (A Aᵀ D_t); in float64 where gradients of float32 rows cancel each other.

    Args:
        rows: A, [N, in].
        output_gradients: D, [N, t, out].
        dtype: Of the products.
        with_bias: Whether A has a further column of ones, which is left out.
    """

    def products(dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        a, d = tf.cast(rows, dtype), tf.cast(output_gradients, dtype)
        similarities = tf.matmul(a, a, transpose_b=True)
        if with_bias:
            similarities += 1
        flat = tf.reshape(d, [-1, d.shape[1] * d.shape[2]])
        smoothed = tf.reshape(tf.matmul(similarities, flat), tf.shape(d))
        smoothed = tf.ensure_shape(smoothed, d.shape)
        return _sum_of_products(d, smoothed), tf.linalg.diag_part(similarities)

    gramian, squared_rows = products(dtype)
    if dtype == tf.float64:
        return gramian
    # [N, t]: what independent rows would add to the gradients' squared norms.
    squares = tf.reduce_sum(tf.square(output_gradients), axis=2) * squared_rows[:, tf.newaxis]
    independent = tf.cast(tf.reduce_sum(squares, axis=0), tf.float64)
    cancelled = tf.reduce_any(tf.linalg.diag_part(gramian) * _CANCELLED < independent)
    return tf.cond(cancelled, lambda: products(tf.float64)[0], lambda: gramian)


def _sum_of_products(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Σ_n one[n] · other[n]ᵀ, the sum in float64."""
    products = tf.matmul(one, other, transpose_b=True)
    return tf.reduce_sum(tf.cast(products, tf.float64), axis=0)
