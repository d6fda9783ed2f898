"""The Gram matrix of task gradients, and what can be read off it."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from pcgrad.replicas import on_several_replicas, sum_over_replicas
from pcgrad.stacks import TaskStack, accumulation_dtype, stack_gradients
from pcgrad.task_gradients import TaskGradients, cast

# Down to this cosine the error of float32 products hardly grows in the projection.
_OPPOSED = -0.5


def gram_matrix(gradients: TaskGradients) -> tf.Tensor:
    """The inner products of the tasks' gradients over all shared variables.

    In a replica context of a `tf.distribute` strategy these are the inner products of the *global*
    gradients: the replicas' gradients are summed (all-reduced) first, because the Gram matrix of a
    sum is not the sum of the Gram matrices.

    Args:
        gradients: The gradients of T tasks.

    Returns:
        [T, T], float64: G_ij = ⟨g_i, g_j⟩. A task that does not reach a shared variable contributes
        zeros there. Accumulated variable by variable.
    """
    return sum_of_gram_matrices(_global_stacks(gradients), len(gradients.tasks))


def sum_of_gram_matrices(stacks: Sequence[TaskStack], count: int) -> tf.Tensor:
    """The inner products of the tasks' gradients over some variables.

    Where gradients are so opposed that a projection would magnify the error of float32 products
    (seventyfold at a cosine of -0.9999), and where one overflows, they are taken again in float64.
    So the error of the update stays below 1e-5 of its norm at a price that only such steps pay.

    Args:
        stacks: The gradients with respect to each variable.
        count: Number of all tasks, T.

    Returns:
        [T, T], float64.
    """

    def total(dtype: tf.DType | None = None) -> tf.Tensor:
        products = tf.zeros([count, count], tf.float64)
        for stack in stacks:
            products += _scatter(stack.gram_matrix(dtype), stack.tasks, count)
        return products

    gramian = total()
    if all(stack.dtype == tf.float64 for stack in stacks):
        return gramian
    again = tf.reduce_any(gramian < _OPPOSED * _norm_products(gramian))
    # A float32 product overflows where its factors do not, a scaled loss's gradients for instance.
    again = tf.logical_or(again, ~tf.math.is_finite(tf.linalg.trace(gramian)))
    return tf.cond(again, lambda: total(tf.float64), lambda: gramian)


def cosines(gramian: tf.Tensor) -> tf.Tensor:
    """The pairwise cosines of the task gradients.

    Args:
        gramian: Gram matrix, [T, T].

    Returns:
        [T, T], the Gram matrix's dtype: G_ij / √(G_ii · G_jj); NaN (undefined) where either
        gradient is zero.
    """
    return gramian / _norm_products(gramian)


def _norm_products(gramian: tf.Tensor) -> tf.Tensor:
    """‖g_i‖ · ‖g_j‖, [T, T]."""
    norms = tf.sqrt(tf.linalg.diag_part(gramian))
    return norms[:, tf.newaxis] * norms[tf.newaxis, :]


def _scatter(products: tf.Tensor, tasks: tuple[int, ...], count: int) -> tf.Tensor:
    """Puts the t×t products of some tasks at their place among all T."""
    if tasks == tuple(range(count)):
        return products
    place = tf.one_hot(tasks, count, dtype=products.dtype)
    return tf.matmul(place, tf.matmul(products, place), transpose_a=True)


def _global_stacks(gradients: TaskGradients) -> list[TaskStack]:
    """The stacks of the gradients summed over all replicas, in one collective operation."""
    if not gradients.shared or not on_several_replicas():
        return list(gradients.shared.values())
    local = {
        index: {
            task: cast(gradient, accumulation_dtype(gradient.dtype))
            for task, gradient in gradients.of_variable(index).items()
        }
        for index in gradients.shared
    }
    return [
        stack_gradients(by_task, gradients.variables[index].shape)
        for index, by_task in sum_over_replicas(local).items()
    ]
