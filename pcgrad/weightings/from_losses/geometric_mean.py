"""The geometric mean of the losses."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.weighting import LossWeighting


class GeometricMean(LossWeighting):
    """Minimizes the geometric mean of the losses, in which their units cancel out.

    Chennupati et al., "MultiNet++", CVPR workshops 2019 (arXiv 1904.08492), GLS: `(Π_t L_t)^(1/T)`,
    whose gradient has the weights `(Π L)^(1/T) / (T L_t)`. Losses must be positive; one that is
    exactly zero, as without a label in the batch, is left out; a negative one makes all weights
    NaN.

    Cost: O(T), and one backward pass.

    Example:
        >>> weights = GeometricMean()(tf.eye(2), losses=tf.constant([4.0, 1.0]))
        >>> [round(float(w), 9) for w in weights]
        [0.25, 1.0]
    """

    def _weights(self, losses: tf.Tensor) -> tf.Tensor:
        counted = tf.cast(tf.not_equal(losses, 0), tf.float64)
        count = tf.maximum(tf.reduce_sum(counted), 1)
        logarithms = tf.math.log(tf.where(tf.equal(losses, 0), tf.ones_like(losses), losses))
        mean = tf.exp(tf.reduce_sum(logarithms) / count)
        return mean * inverse_losses(losses) / count


class LogLosses(LossWeighting):
    """Minimizes the sum of the logarithms of the losses, in which their units do not count.

    The logarithmic transformation of Lin et al., "Dual-Balancing for Multi-Task Learning", 2023
    (arXiv 2308.12029): weights `1 / L_t`. Losses must be positive; one that is exactly zero, as
    without a label in the batch, has the weight zero; a negative one a negative weight.

    Cost: O(T), and one backward pass.

    Example:
        >>> LogLosses()(tf.eye(2), losses=tf.constant([4.0, 0.5])).numpy().tolist()
        [0.25, 2.0]
    """

    def _weights(self, losses: tf.Tensor) -> tf.Tensor:
        return inverse_losses(losses)


def inverse_losses(losses: tf.Tensor) -> tf.Tensor:
    """1 / L_t, [T]; zero where the loss is zero."""
    return tf.math.divide_no_nan(tf.ones_like(losses), losses)
