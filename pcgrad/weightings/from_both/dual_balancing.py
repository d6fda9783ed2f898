"""Balanced losses and balanced gradients."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.from_losses.geometric_mean import inverse_losses
from pcgrad.weightings.weighting import ConfiguredWeighting


class DualBalancing(ConfiguredWeighting):
    """Takes the gradients of the losses' logarithms, all as long as the longest of them.

    Lin et al., "Dual-Balancing for Multi-Task Learning", 2023 (arXiv 2308.12029), DB-MTL, with the
    gradients of the step in place of their moving average (the paper's β = 0): that would take T
    buffers of the network's size. With `h_t = g_t / L_t` the update is
    `max_s ‖h_s‖ · Σ_t h_t / ‖h_t‖`. The losses must be positive; a task whose
    loss or gradient is zero has the weight zero.

    Cost: O(T), and the Gram matrix.

    Example:
        >>> gramian = tf.constant([[4.0, 0.0], [0.0, 1.0]])
        >>> DualBalancing()(gramian, losses=tf.constant([1.0, 0.25])).numpy().tolist()
        [2.0, 4.0]
    """

    needs_losses = True

    def _weigh(
        self,
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
        is_usable: tf.Tensor,
    ) -> tf.Tensor:
        del step, is_usable
        norms = tf.sqrt(tf.linalg.diag_part(gramian))
        longest = tf.reduce_max(tf.abs(inverse_losses(losses)) * norms)
        counted = tf.cast(tf.not_equal(losses, 0), tf.float64) * tf.sign(losses)
        return counted * tf.math.divide_no_nan(longest, norms)
