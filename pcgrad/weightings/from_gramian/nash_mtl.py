"""Nash-MTL: the tasks bargain for the update."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.from_gramian.fair_grad import fair_weights
from pcgrad.weightings.weighting import GramWeighting


class NashMTL(GramWeighting):
    """The Nash bargaining solution: maximizes the product of the tasks' decreases.

    `max_d Σ_t log ⟨g_t, d⟩` on a ball; its solution is `d = Σ_t w_t g_t` with `G w = 1/w`, w > 0,
    so that every loss decreases. For tasks of equal rank whose losses differ in scale: the update
    does not depend on the scale of any loss.

    The update is the paper's, of length √T whatever the lengths of the gradients; the authors' code
    and TorchJD cut it to `max_norm`, 1 by default, and solve by a sequence of convex programs, here
    the solution is exact. Where gradients cancel each other with positive weights
    (Pareto-stationary points) there is no solution: eigenvalues of the cosines below 1e-12 T are
    raised to that, so that weights grow up to some 1e6 and the update goes to zero. A task whose
    gradient is zero is left out.

    Source: Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya, "Multi-Task Learning as a
    Bargaining Game", ICML 2022 (arXiv 2202.01017).

    Cost: O(T³) some 5 times, some 30 times for nearly opposite gradients, 200 times at most.

    Example:
        >>> NashMTL()(tf.constant([[4.0, 0.0], [0.0, 25.0]])).numpy().round(6).tolist()
        [0.5, 0.2]
    """

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        return fair_weights(gramian, 1.0)
