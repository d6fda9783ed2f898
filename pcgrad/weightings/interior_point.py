"""Quadratic programs over weights that are not negative."""

from __future__ import annotations

import itertools

import tensorflow as tf

# The mean product x·y at which a point counts as the solution, of problems with numbers around one:
# the update is then exact to its root, most often to rounding.
_GAP = 1e-18
# Of the first-order condition, relative to the largest x.
_RESIDUAL = 1e-11
# What is added to the diagonal of Newton's equations, relatively: they are positive definite in
# spite of rounding. It changes the steps, not where they lead.
_DAMPING = 1e-12
# How much of the way to the boundary a step may go.
_WAY = 0.999
# Some 12 are enough for T = 20; nearly opposite gradients take more.
_MOST_STEPS = 60


# As measured: up to so many tasks it is faster to try all sets of positive weights at once than to
# take one step after the other, each of some sixty small operations.
_FEW_TASKS = 7


# AutoGraph would take longer than the tracing.
@tf.autograph.experimental.do_not_convert
def minimize_nonnegative(matrix: tf.Tensor, linear: tf.Tensor) -> tf.Tensor:
    """Solves R problems `min ½ xᵀMx + q_rᵀx, x ≥ 0` at once.

    Args:
        matrix: M, [T, T], float64, symmetric and positive definite, with numbers around one.
        linear: q, [R, T], likewise.

    Returns:
        The minimizers, [R, T], not negative; what is zero is some 1e-9 at most.
    """
    few = matrix.shape[0] <= _FEW_TASKS
    return _by_trying_supports(matrix, linear) if few else _by_interior_point(matrix, linear)


def _by_trying_supports(matrix: tf.Tensor, linear: tf.Tensor) -> tf.Tensor:
    """Takes, of all 2ᵀ sets of numbers that may be positive, the one that violates no condition.

    With the numbers outside of the set at zero, `Mx + q = 0` inside gives x. It is the minimizer if
    `x ≥ 0` inside and `Mx + q ≥ 0` outside.
    """
    tasks = matrix.shape[0]
    supports = tf.constant(list(itertools.product([0, 1], repeat=tasks)), matrix.dtype)
    inside = supports[:, :, tf.newaxis]
    # Ones on the diagonal where x is zero.
    systems = tf.linalg.diag(1 - supports) + inside * supports[:, tf.newaxis] * matrix
    x = tf.linalg.solve(systems, -inside * tf.transpose(linear))
    gradient = tf.matmul(matrix, x) + tf.transpose(linear)
    off = tf.maximum(-x, inside * tf.abs(gradient) - (1 - inside) * gradient)
    size = tf.maximum(tf.reduce_max(tf.abs(x), axis=1), 1)
    best = tf.argmin(tf.reduce_max(off, axis=1) / size, axis=0)
    by_problem = tf.transpose(x, [2, 0, 1])
    return tf.maximum(tf.gather(by_problem, best, batch_dims=1), 0)


def _by_interior_point(matrix: tf.Tensor, linear: tf.Tensor) -> tf.Tensor:
    """A primal-dual interior-point method with Mehrotra's predictor and corrector.

    Newton's method on `Mx + q = y`, `x·y = μ` while μ goes to zero (SIAM J. Optim. 2, 1992).
    """

    def step(
        x: tf.Tensor, y: tf.Tensor, gradient: tf.Tensor, is_open: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        diagonal = (tf.linalg.diag_part(matrix) + y / x) * (1 + _DAMPING)
        system = tf.broadcast_to(matrix, [*x.shape, x.shape[-1]])
        factor = tf.linalg.cholesky(tf.linalg.set_diag(system, diagonal))

        def newton(right: tf.Tensor) -> tf.Tensor:
            return tf.linalg.cholesky_solve(factor, right[..., tf.newaxis])[..., 0]

        dx = newton(-gradient)
        dy = -y - y / x * dx
        length = 1 / tf.maximum(steepest(x, dx, y, dy), 1)
        reached = _mean((x + length * dx) * (y + length * dy))
        # What the predictor does not reach is where the corrector aims.
        aim = tf.maximum(reached**3 / _mean(x * y) ** 2, _GAP / 100) - dx * dy
        dx = newton(aim / x - gradient)
        dy = (aim - y * dx) / x - y
        length = 1 / tf.maximum(steepest(x, dx, y, dy) / _WAY, 1)
        # A problem that is solved stays as it is while others go on.
        x = tf.where(is_open, x + length * dx, x)
        y = tf.where(is_open, y + length * dy, y)
        gradient = tf.matmul(x, matrix) + linear
        size = tf.maximum(tf.reduce_max(x, axis=-1, keepdims=True), 1)
        off = tf.reduce_max(tf.abs(gradient - y), axis=-1, keepdims=True)
        is_open = tf.logical_or(_mean(x * y) > _GAP, off > _RESIDUAL * size)
        return x, y, gradient, is_open

    start = tf.ones_like(linear)
    all_open = tf.ones_like(linear[:, :1], tf.bool)
    return tf.while_loop(
        lambda x, y, gradient, is_open: tf.reduce_any(is_open),
        step,
        (start, start, tf.matmul(start, matrix) + linear, all_open),
        maximum_iterations=_MOST_STEPS,
    )[0]


def steepest(x: tf.Tensor, dx: tf.Tensor, y: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
    """The fastest relative decrease along the last axis: the boundary is one over it away."""
    return -tf.reduce_min(tf.minimum(dx / x, dy / y), axis=-1, keepdims=True)


def _mean(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(values, axis=-1, keepdims=True)
