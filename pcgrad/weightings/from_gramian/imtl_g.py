"""IMTL-G: the update whose projections on all task gradients are equal."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.unit_gradients import pseudo_inverse_product, unit_gradients
from pcgrad.weightings.weighting import GramWeighting


class IMTLG(GramWeighting):
    """Impartial multi-task learning, its gradient part: equal projections on all gradients.

    `w ∝ G⁻¹ √diag(G)` with `Σ_t w_t = 1`: the update d has the same `⟨g_t, d⟩ / ‖g_t‖` for all
    tasks. For tasks of equal rank whose losses differ in scale: the direction does not depend on
    the scales. Weights may be negative, and where `G⁻¹ √diag(G)` has a negative sum the paper's
    condition `Σ_t w_t = 1` turns the update against every task (`ConFIG` has the same direction,
    but never turns it); where the sum is zero, all weights are.

    Dependent gradients: `C⁺ 1 / √diag(G)` in its place, C being the cosines. TorchJD takes `G⁺`:
    the same direction if there is one with equal projections, another sum of weights. A task whose
    gradient is zero is left out.

    Source: Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang, "Towards Impartial Multi-task Learning",
    ICLR 2021.

    Cost: O(T³).

    Example:
        >>> IMTLG()(tf.constant([[1.0, 0.0], [0.0, 9.0]])).numpy().round(6).tolist()
        [0.75, 0.25]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        units = unit_gradients(gramian)
        weights = units.per_norm(pseudo_inverse_product(units.cosines, units.present))
        return tf.math.divide_no_nan(weights, tf.reduce_sum(weights))
