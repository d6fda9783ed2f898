"""Inner products of kernels' gradients without the gradients.

A layer z = A W with N rows of input A [N, in] and, for each of t tasks, the gradient D_s [N, out]
of the task's loss by z: the gradient by the kernel is g_s = Aᵀ D_s, and

    ⟨g_s, g_t⟩ = Σ D_s ∘ (A Aᵀ D_t),

where the N×N matrix A Aᵀ is the same for all pairs (for a single row: the product of two squared
norms, as in Goodfellow 2015, arXiv 1510.01799). With fewer rows than the kernel has, that takes
fewer multiplications than t gradients; and their weighted sum is Aᵀ Σ_t w_t D_t, one product
whatever t. That is `ByRows`. With more rows than that, the gradients of all tasks are one product,
Aᵀ [D_1 … D_t]. That is `ByGradients`. If the number of rows is not known while tracing, each step
asks: `ByRowsOrGradients`.

A bias that is added to z is a further row of the kernel, for an input that is always 1: the inner
products of both together are Σ D_s ∘ ((A Aᵀ + 1) D_t), its gradient is the sum of D's rows.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from pcgrad.layerwise.cost import most_rows
from pcgrad.stacks import accumulation_dtype, weights_of

# How much smaller than that of independent rows a gradient's squared norm may be before the
# rounding of A Aᵀ, which is as large as the rows are, shows in it.
_CANCELLED = 64.0


@dataclasses.dataclass(frozen=True)
class ProductStack(abc.ABC):
    """The gradients of t tasks with respect to one kernel, and to the bias that goes with it.

    A `pcgrad.stacks.TaskStack` for the kernel.

    Attributes:
        tasks: The indices, among all T, of the t tasks that reach the kernel.
        variable_shape: The kernel's shape, of in · out elements.
    """

    tasks: tuple[int, ...]
    variable_shape: tf.TensorShape

    @property
    @abc.abstractmethod
    def dtype(self) -> tf.DType:
        """float32 or float64."""

    @abc.abstractmethod
    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The t×t inner products of the tasks' gradients, the bias's included, float64.

        Args:
            dtype: Of the products; that of the factors by default.
        """

    @abc.abstractmethod
    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum over the tasks of weight × gradient, shaped like the kernel, for weights [T]."""

    @abc.abstractmethod
    def weighted_bias(self, weights: tf.Tensor) -> tf.Tensor:
        """The same for the bias, [out]."""

    def _weighted(self, weights: tf.Tensor, by_task: tf.Tensor) -> tf.Tensor:
        """Sums over the tasks: [n, out] from [n, t, out], for weights [T]."""
        weights = weights_of(self.tasks, weights, self.dtype)
        return tf.matmul(weights[tf.newaxis, tf.newaxis, :], by_task)[:, 0]


@dataclasses.dataclass(frozen=True)
class ByRows(ProductStack):
    """The factors of the gradients, which are never formed.

    Attributes:
        rows: A, the layer's input, [N, in], float32 or float64.
        output_gradients: D, the task gradients of its linear output, [N, t, out], of the same
            dtype.
        with_bias: Whether the inner products include those by a bias.
    """

    rows: tf.Tensor
    output_gradients: tf.Tensor
    with_bias: bool

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.rows.dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """Σ D_s ∘ (A Aᵀ D_t); in float64 where gradients of float32 rows cancel each other."""
        dtype = dtype or self.dtype
        gramian, squared_rows = self._products(dtype)
        if dtype == tf.float64:
            return gramian
        # [N, t]: what independent rows would add to the gradients' squared norms.
        squares = tf.reduce_sum(tf.square(self.output_gradients), axis=2)
        squares *= squared_rows[:, tf.newaxis]
        independent = tf.cast(tf.reduce_sum(squares, axis=0), tf.float64)
        cancelled = tf.reduce_any(tf.linalg.diag_part(gramian) * _CANCELLED < independent)
        return tf.cond(cancelled, lambda: self._products(tf.float64)[0], lambda: gramian)

    def _products(self, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        """The inner products, [t, t], and the squared norms of the rows of A, [N]."""
        a, d = tf.cast(self.rows, dtype), tf.cast(self.output_gradients, dtype)
        similarities = tf.matmul(a, a, transpose_b=True)
        if self.with_bias:
            similarities += 1
        flat = tf.reshape(d, [-1, d.shape[1] * d.shape[2]])
        smoothed = tf.reshape(tf.matmul(similarities, flat), tf.shape(d))
        smoothed = tf.ensure_shape(smoothed, d.shape)
        return _sum_of_products(d, smoothed), tf.linalg.diag_part(similarities)

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """Aᵀ Σ_t w_t D_t; see `ProductStack`."""
        return self.kernel_update(self.weighted_outputs(weights))

    def weighted_bias(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum of the rows of Σ_t w_t D_t; see `ProductStack`."""
        return tf.reduce_sum(self.weighted_outputs(weights), axis=0)

    def weighted_outputs(self, weights: tf.Tensor) -> tf.Tensor:
        """Σ_t w_t D_t, [N, out]."""
        return self._weighted(weights, self.output_gradients)

    def kernel_update(self, weighted_outputs: tf.Tensor) -> tf.Tensor:
        """The kernel's weighted gradient, from Σ_t w_t D_t."""
        product = tf.matmul(self.rows, weighted_outputs, transpose_a=True)
        return tf.reshape(product, self.variable_shape)


@dataclasses.dataclass(frozen=True)
class ByGradients(ProductStack):
    """The gradients themselves, made as one product for all tasks.

    Attributes:
        gradients: Aᵀ D, [in, t, out], float32 or float64; those by a bias as one more row.
        inputs: The kernel's rows, in.
    """

    gradients: tf.Tensor
    inputs: int

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.gradients.dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The inner products of the gradients; see `ProductStack`."""
        gradients = tf.cast(self.gradients, dtype or self.dtype)
        return _sum_of_products(gradients, gradients)

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum of weight × gradient; see `ProductStack`."""
        summed = self._weighted(weights, self.gradients[: self.inputs])
        return tf.reshape(summed, self.variable_shape)

    def weighted_bias(self, weights: tf.Tensor) -> tf.Tensor:
        """The same of the last row; see `ProductStack`."""
        return self._weighted(weights, self.gradients[self.inputs :])[0]


@dataclasses.dataclass(frozen=True)
class ByRowsOrGradients(ProductStack):
    """One of both, by a number of rows that is known in each step only.

    Attributes:
        few_rows: Whether inner products are taken by rows; a bool tensor.
        by_rows: Factors; empty, N = 0, in steps with many rows, to free their memory.
        by_gradients: Gradients; empty in steps with few rows, to save their multiplications.
    """

    few_rows: tf.Tensor
    by_rows: ByRows
    by_gradients: ByGradients

    @property
    def dtype(self) -> tf.DType:
        """float32 or float64."""
        return self.by_rows.dtype

    def gram_matrix(self, dtype: tf.DType | None = None) -> tf.Tensor:
        """The inner products in one way or the other; see `ProductStack`."""
        return tf.cond(
            self.few_rows,
            lambda: self.by_rows.gram_matrix(dtype),
            lambda: self.by_gradients.gram_matrix(dtype),
        )

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum of weight × gradient; see `ProductStack`."""
        # Outside of the condition, so that TensorFlow sees that the bias needs the same.
        weighted_outputs = self.by_rows.weighted_outputs(weights)
        return tf.cond(
            self.few_rows,
            lambda: self.by_rows.kernel_update(weighted_outputs),
            lambda: self.by_gradients.weighted_sum(weights),
        )

    def weighted_bias(self, weights: tf.Tensor) -> tf.Tensor:
        """The same for the bias; see `ProductStack`."""
        weighted_outputs = self.by_rows.weighted_outputs(weights)
        return tf.cond(
            self.few_rows,
            lambda: tf.reduce_sum(weighted_outputs, axis=0),
            lambda: self.by_gradients.weighted_bias(weights),
        )


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
    a = _joined([tf.cast(_as_matrix(one), dtype) for one in rows])
    d = _joined([tf.cast(one, dtype) for one in output_gradients])
    count, inputs, outputs = a.shape[0], a.shape[1], d.shape[2]
    most = most_rows(inputs, outputs, len(tasks))

    def gradients() -> tf.Tensor:
        padded = tf.pad(a, [[0, 0], [0, 1]], constant_values=1) if with_bias else a
        flat = tf.reshape(d, [-1, len(tasks) * outputs])
        product = tf.matmul(padded, flat, transpose_a=True)
        return tf.reshape(product, [padded.shape[1], len(tasks), outputs])

    def none() -> tf.Tensor:
        return tf.zeros([0, len(tasks), outputs], dtype)

    if count is not None and count <= most:
        return ByRows(tasks, shape, a, d, with_bias)
    if count is not None:
        return ByGradients(tasks, shape, gradients(), inputs)
    few = tf.shape(a)[0] <= most
    kept = tf.where(few, tf.shape(a)[0], 0)
    # Of the first dimension, a part is no copy.
    by_rows = ByRows(tasks, shape, a[:kept], d[:kept], with_bias)
    by_gradients = ByGradients(tasks, shape, tf.cond(few, none, gradients), inputs)
    return ByRowsOrGradients(tasks, shape, few, by_rows, by_gradients)


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
        tf.matmul(tf.cast(_as_matrix(a), dtype), tf.cast(d, dtype), transpose_a=True)
        for a, d in zip(rows, output_gradients, strict=True)
    ]
    return tf.reshape(tf.add_n(products), shape)


def _as_matrix(rows: tf.Tensor) -> tf.Tensor:
    """[N, in] from [..., in]."""
    return tf.reshape(rows, [-1, rows.shape[-1]])


def _joined(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)


def _sum_of_products(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Σ_n one[n] · other[n]ᵀ, the sum in float64."""
    products = tf.matmul(one, other, transpose_b=True)
    return tf.reduce_sum(tf.cast(products, tf.float64), axis=0)
