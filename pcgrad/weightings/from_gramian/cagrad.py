"""CAGrad: the best update for the task that gains least, near the mean gradient."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.arguments import real_argument
from pcgrad.weightings.interior_point import steepest
from pcgrad.weightings.unit_gradients import unit_gradients, with_least_eigenvalue
from pcgrad.weightings.weighting import GramWeighting

# The mean product of the conditions at which a point counts as the solution.
_GAP = 1e-16
# Of all other conditions.
_RESIDUAL = 1e-10
# Some 12 are enough for T = 20; c or gradients of very different sizes take more.
_MOST_STEPS = 60


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

    Cost: O(T³) some 12 times.

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
        offset = _best_offset(cosines, products, units.relative_reciprocals, self.c)
        return units.shares + units.per_norm(mean_norm * longest * offset * units.present)


def _best_offset(
    cosines: tf.Tensor, products: tf.Tensor, reciprocals: tf.Tensor, radius: float
) -> tf.Tensor:
    """Solves `max τ` over z and τ, `C z + b ≥ τ a`, `zᵀCz ≤ r²`.

    A primal-dual interior-point method with predictor and corrector, as in `minimize_nonnegative`,
    on the conditions `λ z = w`, `aᵀw = 1`, `C z + b − τ a = y`, `(r² − zᵀCz) / 2 = s` and `w·y =
    λ s = μ`, while μ goes to zero.

    Args:
        cosines: C, [T, T], float64, positive definite.
        products: b, [T].
        reciprocals: a, [T], not negative.
        radius: r.

    Returns:
        z, [T].
    """
    tasks = cosines.shape[0]
    one = tf.ones([1], cosines.dtype)

    def residuals(
        z: tf.Tensor, tau: tf.Tensor, w: tf.Tensor, y: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        # The last of w and y are λ and s.
        product = tf.linalg.matvec(cosines, z)
        stationary = w[-1] * z - w[:-1]
        normalized = tf.tensordot(reciprocals, w[:-1], 1) - 1
        feasible = product + products - tau * reciprocals - y[:-1]
        inside = (radius**2 - tf.tensordot(z, product, 1)) / 2 - y[-1]
        return product, stationary, normalized, feasible, inside

    def step(
        z: tf.Tensor, tau: tf.Tensor, w: tf.Tensor, y: tf.Tensor, is_open: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        product, stationary, normalized, feasible, inside = residuals(z, tau, w, y)
        ratios = y[:-1] / w[:-1]
        top = tf.concat(
            [
                cosines + tf.linalg.diag(w[-1] * ratios),
                (ratios * z)[:, tf.newaxis],
                -reciprocals[:, tf.newaxis],
            ],
            axis=1,
        )
        middle = tf.concat([-w[-1] * product, y[-1:], 0 * one], axis=0)
        bottom = tf.concat(
            [w[-1] * reciprocals, tf.tensordot(reciprocals, z, 1) * one, 0 * one], axis=0
        )
        system = tf.concat([top, middle[tf.newaxis], bottom[tf.newaxis]], axis=0)

        def newton(
            aim: tf.Tensor, stationary: tf.Tensor, inside: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
            right = tf.concat(
                [
                    aim[:-1] / w[:-1] - ratios * stationary - feasible,
                    aim[-1:] - w[-1] * inside,
                    (-normalized - tf.tensordot(reciprocals, stationary, 1)) * one,
                ],
                axis=0,
            )
            solution = tf.linalg.solve(system, right[:, tf.newaxis])[:, 0]
            dz, d_lambda, d_tau = solution[:tasks], solution[tasks], solution[tasks + 1]
            dw = w[-1] * dz + z * d_lambda + stationary
            dy = tf.linalg.matvec(cosines, dz) - reciprocals * d_tau + feasible
            ds = inside - tf.tensordot(product, dz, 1)
            return (
                dz,
                d_tau,
                tf.concat([dw, d_lambda * one], axis=0),
                tf.concat([dy, ds * one], axis=0),
            )

        dz, _, dw, dy = newton(-w * y, stationary, inside)
        length = 1 / tf.maximum(steepest(w, dw, y, dy), 1)
        reached = tf.reduce_mean((w + length * dw) * (y + length * dy))
        aim = tf.maximum(reached**3 / tf.reduce_mean(w * y) ** 2, _GAP / 1e4)
        # The corrector also removes what the predictor leaves in the two products.
        bent = length**2 * tf.tensordot(dz, tf.linalg.matvec(cosines, dz), 1) / 2
        dz, d_tau, dw, dy = newton(
            aim - w * y - dw * dy, stationary + length**2 * dw[-1] * dz, inside - bent[0]
        )
        length = (1 / tf.maximum(steepest(w, dw, y, dy) / 0.99, 1))[0]
        z, tau, w, y = z + length * dz, tau + length * d_tau, w + length * dw, y + length * dy
        _, stationary, normalized, feasible, inside = residuals(z, tau, w, y)
        off = tf.stack(
            [
                tf.reduce_max(tf.abs(stationary)),
                tf.abs(normalized),
                tf.reduce_max(tf.abs(feasible)),
                tf.abs(inside),
            ]
        )
        is_open = tf.logical_or(tf.reduce_mean(w * y) > _GAP, tf.reduce_max(off) > _RESIDUAL)
        return z, tau, w, y, is_open

    ones = tf.ones([tasks], cosines.dtype)
    return tf.while_loop(
        lambda z, tau, w, y, is_open: is_open,
        step,
        (
            0 * ones,
            tf.zeros([], cosines.dtype),
            tf.concat([ones / tasks, one / radius], axis=0),
            tf.concat([ones, one * radius**2], axis=0),
            tf.constant(True),
        ),
        maximum_iterations=_MOST_STEPS,
    )[0]
