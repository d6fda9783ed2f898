"""Aligned-MTL: gradients made orthogonal and of one length, as near to the given ones as can be."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.unit_gradients import independent_part
from pcgrad.weightings.weighting import GramWeighting


class AlignedMTL(GramWeighting):
    """Aligned-MTL: aligns the principal components of the gradients, then sums.

    The gradients are replaced by the nearest system of orthogonal vectors of one length, that of
    their shortest principal component, so that no component dominates: with `G = V Λ Vᵀ`,
    `w = √λ_min V Λ^(−1/2) Vᵀ u`, `u_t = 1`. For tasks whose gradients differ in length and
    conflict, when slow and stable steps are wanted; loss weights change the gradients before they
    are aligned.

    λ_min is the least of the eigenvalues that are more than T times the largest one times float32's
    precision; smaller ones are left out, as in the authors' code, and with them zero gradients.
    TorchJD takes `u_t = 1/T` by default. Not invariant to the scale of single tasks.

    Source: Senushkin, Patakin, Kuznetsov, Konushin, "Independent Component Alignment for Multi-Task
    Learning", CVPR 2023 (arXiv 2305.19000).

    Cost: O(T³).

    Example:
        >>> AlignedMTL()(tf.constant([[1.0, 0.0], [0.0, 9.0]])).numpy().round(6).tolist()
        [1.0, 0.333333]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        size = tf.reduce_max(tf.linalg.diag_part(gramian))
        values, vectors, kept = independent_part(tf.math.divide_no_nan(gramian, size))
        infinite = tf.constant(float("inf"), gramian.dtype)
        kept_values = tf.where(kept, values, infinite)
        ratios = tf.where(kept, tf.sqrt(tf.reduce_min(kept_values) / kept_values), 0)
        return tf.linalg.matvec(vectors, ratios * tf.reduce_sum(vectors, axis=0))
