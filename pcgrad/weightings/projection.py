"""The projections of PCGrad, on the Gram matrix of the task gradients.

Source: Yu, Kumar, Gupta, Levine, Hausman, Finn, "Gradient Surgery for Multi-Task Learning", NeurIPS
2020 (arXiv 2001.06782), Algorithm 1. While a task's gradient is projected it stays in the span of
all task gradients, so its coefficients in that span, one row of a T×T matrix C, are all that has to
be tracked: the inner product of the running gradient i with g_j is (C G)_ij, and its projection off
g_j subtracts (C G)_ij / G_jj from C_ij. Nothing here has the size of a gradient.
"""

from __future__ import annotations

import tensorflow as tf


def projection_orders(seed: tf.Tensor | int, step: tf.Tensor | int, tasks: int) -> tf.Tensor:
    """The random orders in which every task visits the others.

    A pure function of its arguments: the same in eager mode, in a graph, under XLA and on every
    replica. (The generator is named because the default one differs between eager mode and XLA.)

    Args:
        seed: Integer scalar.
        step: Integer scalar, the number of the training step.
        tasks: T.

    Returns:
        [T, T], int32. Row i is a uniformly random permutation of all tasks, independent of the
        other rows; task i skips itself in it, which leaves a uniformly random order of the others.
    """
    keys = tf.random.stateless_uniform(
        [tasks, tasks],
        seed=tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)]),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
    return tf.argsort(keys, axis=1)


# AutoGraph would take longer than the tracing.
@tf.function(autograph=False)
def sequential_projection(gramian: tf.Tensor, orders: tf.Tensor) -> tf.Tensor:
    """Algorithm 1 of Yu et al. (2020): all tasks' visits, one after the other.

    Args:
        gramian: Gram matrix, [T, T], float64.
        orders: [T, T], int32; row i is the order of task i's visits, its own index is skipped.

    Returns:
        [T, T], float64: row i holds the coefficients of task i's projected gradient.
    """
    tasks = gramian.shape[0]
    return _visit_all(gramian, orders, tf.range(tasks), tf.eye(tasks, dtype=gramian.dtype))


@tf.function(autograph=False)
def parallel_projection(gramian: tf.Tensor, orders: tf.Tensor) -> tf.Tensor:
    """The same mathematics as `sequential_projection`, one task's surgery mapped over all tasks.

    Task i's surgery never reads another task's projected gradient, so `tf.vectorized_map` may carry
    out all of them at once.

    Args:
        gramian: Gram matrix, [T, T], float64.
        orders: [T, T], int32; row i is the order of task i's visits, its own index is skipped.

    Returns:
        [T, T], float64: row i holds the coefficients of task i's projected gradient.
    """
    tasks = gramian.shape[0]

    def one_task(inputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        order, task, start = (part[tf.newaxis] for part in inputs)
        return _visit_all(gramian, order, task, start)[0]

    start = tf.eye(tasks, dtype=gramian.dtype)
    return tf.vectorized_map(one_task, (orders, tf.range(tasks), start))


def simultaneous_projection(gramian: tf.Tensor) -> tf.Tensor:
    """Projects every task's gradient off all others at once, by the original inner products.

    Free of any order, hence deterministic. It equals Algorithm 1 for two tasks without being it for
    three or more; earlier TensorFlow 2 implementations compute it under the name PCGrad.

    Args:
        gramian: Gram matrix, [T, T], float64.

    Returns:
        [T, T], float64: off the diagonal C_ij = -min(0, G_ij) / G_jj, on it 1.
    """
    squared_norms = tf.linalg.diag_part(gramian)
    removed = tf.math.divide_no_nan(tf.minimum(gramian, 0), squared_norms)
    return tf.linalg.set_diag(-removed, tf.ones_like(squared_norms))


# So few visits cost less than a loop around them, and their graph is as small.
_UNROLLED = 8


def _visit_all(
    gramian: tf.Tensor, orders: tf.Tensor, tasks: tf.Tensor, start: tf.Tensor
) -> tf.Tensor:
    """Runs all visits of some tasks: `orders` and `start` [rows, T], `tasks` [rows]."""
    count = gramian.shape[0]
    # By position: the tasks to visit, and the factor that turns an inner product into the
    # coefficient to remove: none for the task itself, nor where the gradient is zero.
    targets = tf.transpose(orders)
    squared_norms = tf.gather(tf.linalg.diag_part(gramian), targets)
    others = tf.cast(targets != tasks, gramian.dtype)
    factors = tf.math.divide_no_nan(others, squared_norms)

    def visit(products: tf.Tensor, removal: tf.Tensor, running: tf.Tensor) -> tf.Tensor:
        inner = tf.reduce_sum(running * products, axis=1, keepdims=True)
        return running - tf.minimum(inner, 0) * removal

    def removals(targets: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(targets, count, dtype=gramian.dtype) * factors[..., tf.newaxis]

    if count <= _UNROLLED:
        all_products = tf.unstack(tf.gather(gramian, targets), num=count)
        all_removals = tf.unstack(removals(targets, factors), num=count)
        for products, removal in zip(all_products, all_removals, strict=True):
            start = visit(products, removal, start)
        return start

    def body(position: tf.Tensor, running: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        target = tf.gather(targets, position)
        removal = removals(target, tf.gather(factors, position))
        return position + 1, visit(tf.gather(gramian, target), removal, running)

    return tf.while_loop(
        lambda position, _: position < count,
        body,
        (tf.constant(0), start),
        maximum_iterations=count,
    )[1]
