"""The smooth maximum of the losses."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from pcgrad.weightings.arguments import positive_argument, real_argument
from pcgrad.weightings.weighting import LossWeighting


class SmoothTchebycheff(LossWeighting):
    """Minimizes the smooth maximum of the weighted losses: the worst task counts most.

    Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML 2024
    (arXiv 2402.19078), equation 6: `μ log Σ_t exp(λ_t (L_t - z_t) / μ)`, whose gradient has the
    weights `λ_t softmax_t(λ (L - z) / μ)`. Unlike sums, its minima are the whole Pareto front, as λ
    varies. For losses of the same scale; those of different scales need λ.

    Cost: O(T), and one backward pass.

    Args:
        mu: μ, the smoothness, greater than 0; towards 0 only the worst task counts.
        preference: λ, T positive numbers; 1/T each by default.
        ideal: z, a value for each task that its loss can at best reach; zero by default.

    Raises:
        ValueError: An argument is out of its range, or has not one entry for each task.

    Example:
        >>> weights = SmoothTchebycheff(mu=0.5)(tf.eye(2), losses=tf.constant([2.0, 1.0]))
        >>> [round(float(w), 3) for w in weights]
        [0.366, 0.134]
    """

    def __init__(
        self,
        mu: float = 1.0,
        preference: Sequence[float] | None = None,
        ideal: Sequence[float] | None = None,
    ) -> None:
        self.mu = positive_argument("mu", mu)
        self.preference = preference and [positive_argument("preference", v) for v in preference]
        self.ideal = ideal and [real_argument("ideal", v, "numbers", lambda _: True) for v in ideal]

    def _weights(self, losses: tf.Tensor) -> tf.Tensor:
        tasks = losses.shape[0]
        preference = self._of_each_task("preference", [1 / tasks] * tasks, tasks)
        ideal = self._of_each_task("ideal", [0.0] * tasks, tasks)
        return preference * tf.nn.softmax(preference * (losses - ideal) / self.mu)

    def _of_each_task(self, argument: str, default: list[float], tasks: int) -> tf.Tensor:
        values = getattr(self, argument) or default
        if len(values) != tasks:
            raise ValueError(
                f"SmoothTchebycheff: `{argument}` has {len(values)} entries for {tasks} tasks"
            )
        return tf.constant(values, tf.float64)
