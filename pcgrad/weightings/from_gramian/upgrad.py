"""UPGrad: every task's gradient made harmless to the others, then their mean."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.interior_point import minimize_nonnegative
from pcgrad.weightings.unit_gradients import unit_gradients, with_least_eigenvalue
from pcgrad.weightings.weighting import GramWeighting


class UPGrad(GramWeighting):
    """Unconflicting projection of gradients: the update decreases every loss.

    Each gradient is projected on the cone of the vectors that have no negative inner product with
    any gradient; the update is the mean of the projections. In weights: the mean over i of
    `argmin_v vᵀGv` over `v ≥ e_i`. What PCGrad attempts with one projection after the other is here
    attained for any number of tasks, and without random orders. A task with longer gradients has
    more of the update, as in the mean of the gradients, which it is where no two gradients
    conflict; loss weights are the paper's preferences.

    A task whose gradient is zero is left out of the mean. TorchJD adds 1e-4 of the trace to the
    diagonal of G by default (`reg_eps`); here nothing is added.

    Source: Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", 2024 (arXiv
    2406.16232).

    Cost: O(T⁴) some 12 times.

    Example:
        >>> UPGrad()(tf.constant([[1.0, -0.5], [-0.5, 1.0]])).numpy().round(6).tolist()
        [0.75, 0.75]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        units = unit_gradients(gramian)
        cosines = with_least_eigenvalue(units.cosines, 1e-14)
        # v = e_i + x ‖g_i‖ / ‖g_t‖, for all i at once.
        added = minimize_nonnegative(cosines, units.cosines)
        added = units.per_norm(tf.linalg.matvec(added, units.norms, transpose_a=True))
        return units.shares * (1 + added)
