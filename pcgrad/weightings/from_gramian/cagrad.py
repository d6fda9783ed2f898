"""CAGrad: the best update for the task that gains least, near the mean gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pcgrad.weightings.arguments import real_argument
from pcgrad.weightings.unit_gradients import unit_gradients, with_least_eigenvalue
from pcgrad.weightings.weighting import GramWeighting

# The gap that counts as none, and that which does where a step no longer halves it.
_GAP = 1e-13
_STALLED = 1e-9
# Some 14 are enough for T = 20; c or gradients of very different sizes take more.
_MOST_STEPS = 60
# So many lengths of a step are tried.
_LENGTHS = 20
# How small one of the products whose mean is the gap may be, relative to it.
_LEAST_PRODUCT = 1e-4


class CAGrad(GramWeighting):
    """Conflict-averse gradient descent: maximizes the smallest decrease near the mean gradient.

    `max_d min_t ⟨g_t, d⟩` over `‖d − g_0‖ ≤ c ‖g_0‖`, g_0 being the mean gradient. Its dual is
    `min_w ⟨g_w, g_0⟩ + c ‖g_0‖ ‖g_w‖` over `w ≥ 0, Σ_t w_t = 1` with `g_w = Σ_t w_t g_t`, and then
    `d = g_0 + c ‖g_0‖ g_w / ‖g_w‖`. For losses of one scale where the mean is to be improved, not
    given up: it converges to a minimum of the mean loss for c < 1.

    Solved exactly, where the authors' code takes 20 steps of gradient descent. The length is the
    paper's; the authors' code and LibMTL divide by 1 + c² (`rescale`). Where the minimum of the
    dual is at g_w = 0 (say, between two opposite gradients), d is one of the solutions of the first
    problem; TorchJD then gives no update at all. A task whose gradient is zero is left out.

    Source: Liu, Liu, Jin, Stone, Liu, NeurIPS 2021 (arXiv 2110.14048).

    Args:
        c: How far from the mean gradient, relative to its length: 0 (the mean itself) or more; the
            authors' values are from 0.2 to 0.9.

    Cost: O(T³) some 14 times.

    Raises:
        ValueError: c is negative or not finite.

    Example:
        >>> CAGrad(c=0.5)(tf.constant([[1.0, 0.0], [0.0, 1.0]])).numpy().round(6).tolist()
        [0.75, 0.75]
    """

    def __init__(self, c: float = 0.5) -> None:
        self.c = real_argument("c", c, "a number of 0 or more", lambda number: number >= 0)

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        units = unit_gradients(gramian)
        if self.c == 0:
            return units.shares
        cosines = with_least_eigenvalue(units.cosines, 1e-14)
        longest = tf.reduce_max(units.norms)
        mean = tf.math.divide_no_nan(units.norms, longest) * units.shares
        # ⟨g_t, g_0⟩ / ‖g_t‖ and ‖g_0‖, both per longest gradient.
        products = tf.linalg.matvec(units.cosines, mean)
        mean_norm = tf.sqrt(tf.maximum(tf.tensordot(mean, products, 1), 0))
        products = tf.math.divide_no_nan(products, mean_norm)
        # A gradient that is zero bounds nothing.
        products = tf.where(units.present > 0, products, 1)
        problem = _Problem(cosines, products, units.relative_reciprocals, self.c)
        offset = _best_offset(problem)
        return units.shares + units.per_norm(mean_norm * longest * offset * units.present)


class _Problem(NamedTuple):
    """`max τ` over z and τ, `C z + b ≥ τ a`, `zᵀCz ≤ r²`.

    Its dual is `min ⟨b, w⟩ + wᵀCw / 2λ + λ r² / 2` over w ≥ 0 and λ ≥ 0 with `aᵀw = 1`, which is
    convex; then `z = w / λ`. The slacks `y = C z + b − τ a` and `s = (r² − zᵀCz) / 2` are its
    derivatives. In the code the last of w is λ and the last of y is s.

    Attributes:
        cosines: C, [T, T], float64, positive definite.
        products: b, [T].
        reciprocals: a, [T], positive, or zero where b is positive.
        radius: r.
    """

    cosines: tf.Tensor
    products: tf.Tensor
    reciprocals: tf.Tensor
    radius: float

    def slacks(self, w: tf.Tensor, tau: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """z, C z and y of points in rows."""
        z = w[:, :-1] / w[:, -1:]
        product = tf.matmul(z, self.cosines)
        inside = (self.radius**2 - tf.reduce_sum(z * product, axis=1, keepdims=True)) / 2
        feasible = product + self.products - tau[:, tf.newaxis] * self.reciprocals
        return z, product, tf.concat([feasible, inside], axis=1)

    def start(self) -> tuple[tf.Tensor, tf.Tensor]:
        """A point, w and τ, where w and y are positive."""
        is_bound = self.reciprocals > 0
        w = tf.where(is_bound, tf.math.reciprocal_no_nan(self.reciprocals), 1)
        w /= tf.tensordot(self.reciprocals, w, 1)
        norm = tf.sqrt(tf.tensordot(w, tf.linalg.matvec(self.cosines, w), 1))
        least = 1 / (w.shape[0] * self.radius**2)
        w = tf.concat([w, [2 * norm / self.radius + least]], axis=0)
        _, product, _ = self.slacks(w[tf.newaxis], tf.zeros([1], w.dtype))
        rates = tf.math.divide_no_nan(product[0] + self.products, self.reciprocals)
        return w, tf.reduce_min(tf.where(is_bound, rates, w.dtype.max)) - 1

    def search(
        self, w: tf.Tensor, tau: tf.Tensor, dw: tf.Tensor, d_tau: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The point with the least gap on directions in rows; its gap, and the step's length."""
        longest = 1 / tf.maximum(tf.reduce_max(-dw / w, axis=1), 1)
        lengths = tf.constant(np.linspace(0, 0.99, _LENGTHS + 1)[1:], w.dtype)
        lengths = tf.reshape(lengths[:, tf.newaxis] * longest, [-1])
        w += lengths[:, tf.newaxis] * tf.tile(dw, [_LENGTHS, 1])
        tau += lengths * tf.tile(d_tau, [_LENGTHS])
        products = w * self.slacks(w, tau)[2]
        gaps = tf.reduce_mean(products, axis=1)
        # A product far below the others would hold up all further steps.
        is_inside = tf.reduce_min(products, axis=1) > _LEAST_PRODUCT * gaps
        gaps = tf.where(is_inside, gaps, w.dtype.max)
        best = tf.argmin(gaps)
        return w[best], tau[best], gaps[best], lengths[best]


def _best_offset(problem: _Problem) -> tf.Tensor:
    """Solves the problem and returns z, [T].

    Newton's method with predictor and corrector follows the points where all products w·y are μ,
    while μ goes to zero. On its way w and y stay positive, so that the mean of the products is the
    gap between problem and dual, and every step makes it less.
    """
    cosines, reciprocals = problem.cosines, problem.reciprocals
    tasks = cosines.shape[0]
    zero = tf.zeros([1], cosines.dtype)

    def step(
        w: tf.Tensor, tau: tf.Tensor, gap: tf.Tensor, is_open: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        z, product, y = (rows[0] for rows in problem.slacks(w[tf.newaxis], tau[tf.newaxis]))
        ratios = y[:-1] / w[:-1]
        # The unknowns are the changes of z, λ and τ; the equations those of w·y, λ s and aᵀw.
        top = [
            cosines + tf.linalg.diag(w[-1] * ratios),
            tf.stack([ratios * z, -reciprocals], axis=1),
        ]
        below = [
            tf.concat([-w[-1] * product, y[-1:], zero], axis=0),
            tf.concat([w[-1] * reciprocals, [tf.tensordot(reciprocals, z, 1)], zero], axis=0),
        ]
        system = tf.concat([tf.concat(top, axis=1), tf.stack(below)], axis=0)

        def newton(
            change: tf.Tensor, bent_w: tf.Tensor, bent_s: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            """The directions dz, dw and dτ for changes of w·y; w and s bend by so much."""
            right = [
                change[:, :-1] / w[:-1] - ratios * bent_w,
                change[:, -1:] - w[-1] * bent_s,
                -tf.linalg.matvec(bent_w, reciprocals)[:, tf.newaxis],
            ]
            solution = tf.linalg.solve(system, tf.transpose(tf.concat(right, axis=1)))
            dz, d_lambda, d_tau = tf.split(tf.transpose(solution), [tasks, 1, 1], axis=1)
            dw = tf.concat([w[-1] * dz + z * d_lambda + bent_w, d_lambda], axis=1)
            return dz, dw, d_tau[:, 0]

        dz, dw, d_tau = newton(-(w * y)[tf.newaxis], tf.zeros_like(z)[tf.newaxis], zero[tf.newaxis])
        _, _, reached, length = problem.search(w, tau, dw, d_tau)
        aim = tf.maximum(tf.minimum(reached, 0.7 * gap) ** 2 / gap, _GAP / 1e4)
        # Two directions: with the corrector for what the predictor leaves, and without.
        factor = length**2 * tf.constant([[1.0], [0.0]], cosines.dtype)
        along = tf.matmul(dz, cosines)
        inward = -tf.matmul(dz, product[:, tf.newaxis])
        dy = tf.concat([along - d_tau * reciprocals, inward], axis=1)
        _, dw, d_tau = newton(
            aim - w * y - factor * dw * dy,
            factor * dw[:, -1:] * dz,
            -factor * tf.reduce_sum(dz * along, axis=1) / 2,
        )
        w_next, tau_next, reached, _ = problem.search(w, tau, dw, d_tau)
        is_less = reached < gap
        goes_on = tf.logical_or(reached < gap / 2, reached > _STALLED)
        return (
            tf.where(is_less, w_next, w),
            tf.where(is_less, tau_next, tau),
            tf.minimum(reached, gap),
            tf.logical_and(is_less, tf.logical_and(goes_on, reached > _GAP)),
        )

    w, tau = problem.start()
    _, _, y = problem.slacks(w[tf.newaxis], tau[tf.newaxis])
    w, *_ = tf.while_loop(
        lambda w, tau, gap, is_open: is_open,
        step,
        (w, tau, tf.reduce_mean(w * y), tf.constant(True)),
        maximum_iterations=_MOST_STEPS,
    )
    return w[:-1] / w[-1]
