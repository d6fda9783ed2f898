"""Random loss weights."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.weighting import ConfiguredWeighting


class RandomWeights(ConfiguredWeighting):
    """Draws the loss weights anew in every step: the softmax of T standard normal numbers.

    Lin et al., "Reasonable Effectiveness of Random Weighting", 2021 (arXiv 2111.10603), RLW. A
    control that any method of weighing should beat. The weights sum to one.

    Cost: O(T), and one backward pass.

    Args:
        seed: The weights are a function of the seed and the step.

    Raises:
        ValueError: When called without a step.

    Example:
        >>> weights = RandomWeights(seed=0)(tf.eye(3), step=5)
        >>> round(float(tf.reduce_sum(weights)), 9)
        1.0
    """

    needs_gramian = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = int(seed)

    def _weigh(
        self,
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
        is_usable: tf.Tensor,
    ) -> tf.Tensor:
        del losses, is_usable
        if step is None:
            raise ValueError(
                "RandomWeights draws anew in every step: pass `step` (say, `optimizer.iterations`)"
            )
        # Integers, as XLA makes other normal numbers of the same generator.
        integers = tf.random.stateless_uniform(
            [gramian.shape[0]],
            seed=tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)]),
            minval=None,
            maxval=None,
            dtype=tf.int64,
            alg="philox",
        )
        uniform = 0.5 + tf.cast(integers, tf.float64) / 2**64
        return tf.nn.softmax(tf.math.ndtri(tf.clip_by_value(uniform, 1e-12, 1 - 1e-12)))
