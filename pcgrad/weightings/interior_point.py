"""Quadratic programs over weights that are not negative."""

from __future__ import annotations

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


# AutoGraph would take longer than the tracing.
@tf.autograph.experimental.do_not_convert
def minimize_nonnegative(matrix: tf.Tensor, linear: tf.Tensor) -> tf.Tensor:
    """Solves R problems `min ½ xᵀMx + q_rᵀx, x ≥ 0` at once.

    A primal-dual interior-point method with Mehrotra's predictor and corrector (SIAM J. Optim. 2,
    1992): Newton's method on `Mx + q = y`, `x·y = μ` while μ goes to zero.

    Args:
        matrix: M, [T, T], float64, symmetric and positive definite, with numbers around one.
        linear: q, [R, T], likewise.

    Returns:
        The minimizers, [R, T], positive; what is zero is some 1e-9 at most.
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
