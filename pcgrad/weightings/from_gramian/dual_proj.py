"""DualProj: the mean gradient, made harmless to every task."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.interior_point import minimize_nonnegative
from pcgrad.weightings.unit_gradients import unit_gradients, with_least_eigenvalue
from pcgrad.weightings.weighting import GramWeighting


class DualProj(GramWeighting):
    """The vector nearest to the mean gradient that decreases every loss.

    `argmin_v vᵀGv` over `v ≥ u` with `u_t = 1/T`: the projection of the mean gradient on the cone
    of the vectors that have no negative inner product with any gradient, GEM's rule. The plain
    mean, and nothing else, while that hurts no task. Loss weights are preferences other than u.

    A task whose gradient is zero is left out of the mean. TorchJD adds 1e-4 of the trace to the
    diagonal of G by default (`reg_eps`); here nothing is added.

    Source: Lopez-Paz, Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017
    (arXiv 1706.08840); Quinton, Rey, 2024 (arXiv 2406.16232).

    Cost: O(T³) some 12 times.

    Example:
        >>> DualProj()(tf.constant([[4.0, -1.0], [-1.0, 1.0]])).numpy().round(6).tolist()
        [0.5, 0.5]
        >>> DualProj()(tf.constant([[4.0, -2.0], [-2.0, 2.0]])).numpy().round(6).tolist()
        [0.5, 0.5]
        >>> DualProj()(tf.constant([[8.0, -2.0], [-2.0, 1.0]])).numpy().round(6).tolist()
        [0.5, 1.0]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        units = unit_gradients(gramian)
        cosines = with_least_eigenvalue(units.cosines, 1e-14)
        longest = tf.reduce_max(units.norms)
        mean = tf.math.divide_no_nan(units.norms, longest)[tf.newaxis]
        linear = tf.matmul(mean, units.cosines)
        added = minimize_nonnegative(cosines, linear)[0]
        return units.shares * (1 + units.per_norm(longest * added))
