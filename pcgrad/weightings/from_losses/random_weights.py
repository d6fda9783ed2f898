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
        normal = tf.random.stateless_normal(
            [gramian.shape[0]],
            seed=tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)]),
            dtype=tf.float64,
            alg="philox",
        )
        return tf.nn.softmax(normal)
