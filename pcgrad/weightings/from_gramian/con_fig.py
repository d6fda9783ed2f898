"""ConFIG: equal cosines with all task gradients, and a length that follows from them."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.unit_gradients import pseudo_inverse_product, unit_gradients
from pcgrad.weightings.weighting import GramWeighting


class ConFIG(GramWeighting):
    """Conflict-free inverse gradients: the update has the same positive cosine with all gradients.

    With the unit gradients in the rows of U, the direction is that of `U⁺ 1`, and the length the
    sum of all gradients' projections on it: `d = (Σ_t ⟨g_t, v⟩) v`, `v = U⁺ 1 / ‖U⁺ 1‖`. In
    weights: `w ∝ C⁺ 1 / √diag(G)`, C being the cosines. For tasks of equal rank whose losses differ
    in scale, as residuals and boundary terms of a physical equation do; the update gets shorter as
    conflicts grow, and is zero where gradients cancel each other. Weights may be negative.

    More tasks than dimensions: the least-squares solution, as in the paper. A task whose gradient
    is zero is left out.

    Source: Liu, Chu, Thuerey, "ConFIG: Towards Conflict-free Training of Physics Informed Neural
    Networks", 2024 (arXiv 2408.11104).

    Cost: O(T³).

    Example:
        >>> ConFIG()(tf.constant([[1.0, 0.0], [0.0, 9.0]])).numpy().round(6).tolist()
        [2.0, 0.666667]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        units = unit_gradients(gramian)
        direction = pseudo_inverse_product(units.cosines, units.present)
        products = tf.linalg.matvec(units.cosines, direction)
        squared_norm = tf.tensordot(direction, products, 1)
        length = tf.tensordot(units.norms, products, 1)
        return tf.math.divide_no_nan(units.per_norm(length * direction), squared_norm)
