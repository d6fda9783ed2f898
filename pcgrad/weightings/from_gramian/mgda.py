"""MGDA: the shortest vector in the convex hull of the task gradients."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.interior_point import minimize_nonnegative
from pcgrad.weightings.unit_gradients import unit_gradients, with_least_eigenvalue
from pcgrad.weightings.weighting import GramWeighting


class MGDA(GramWeighting):
    """The multiple-gradient descent algorithm: the update decreases every loss, or is zero.

    `min_w wᵀGw` over `w ≥ 0, Σ_t w_t = 1`. The update `d = Σ_t w_t g_t` has `⟨g_t, d⟩ ≥ ‖d‖²` for
    each task, and is zero exactly where no direction decreases all losses (Pareto-stationary
    points). For few tasks that all matter, with losses of one scale: the task with the shortest
    gradient, often the one that has learned most, gets most of the weight.

    Solved exactly, where Sener and Koltun's code and TorchJD stop a Frank-Wolfe method early. The
    update is unique; of several weights with the same update one is returned. A task whose gradient
    is zero is left out (with it, the minimum would always be zero).

    Source: Désidéri, "Multiple-gradient descent algorithm", C. R. Math. 350, 2012; Sener, Koltun,
    NeurIPS 2018 (arXiv 1810.04650).

    Cost: O(T³) some 12 times.

    Example:
        >>> MGDA()(tf.constant([[1.0, 0.0], [0.0, 3.0]])).numpy().round(6).tolist()
        [0.75, 0.25]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        units = unit_gradients(gramian)
        cosines = with_least_eigenvalue(units.cosines, 1e-14)
        # In x_t = w_t ‖g_t‖ the sum of the weights is Σ a_t x_t. The minimizer of
        # xᵀCx + (aᵀx - 1)² over x ≥ 0 is that of xᵀCx on aᵀx = 1, up to a factor.
        per_weight = units.relative_reciprocals
        matrix = cosines + per_weight[:, tf.newaxis] * per_weight
        solution = minimize_nonnegative(matrix, -per_weight[tf.newaxis])[0]
        weights = units.present * per_weight * solution
        return tf.math.divide_no_nan(weights, tf.reduce_sum(weights))
