"""The sum of the unit gradients."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.weighting import GramWeighting


class Normalized(GramWeighting):
    """Gives every task the same length of gradient: the update is `Σ_t g_t / ‖g_t‖`.

    For tasks whose losses differ in scale, where weights by hand are not to be had. It knows
    nothing of conflicts. A task whose gradient is zero has the weight zero.

    Cost: O(T).

    Example:
        >>> Normalized()(tf.constant([[4.0, 0.0], [0.0, 25.0]])).numpy().tolist()
        [0.5, 0.2]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        return tf.math.divide_no_nan(
            tf.ones([], gramian.dtype), tf.sqrt(tf.linalg.diag_part(gramian))
        )
