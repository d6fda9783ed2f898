"""FairGrad: fair shares of the decrease of the losses."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.arguments import real_argument
from pcgrad.weightings.compiled import compiled
from pcgrad.weightings.unit_gradients import unit_gradients, with_least_eigenvalue
from pcgrad.weightings.weighting import GramWeighting

# A step below this ends the iteration: the next one would be of the order of its square.
_SMALL_STEP = 1e-9
# Some 5 are enough; nearly opposite gradients take 30, and an alpha of 10 with norms that differ by
# a factor of a million 150.
_MOST_STEPS = 200


class FairGrad(GramWeighting):
    """Maximizes an alpha-fair utility of the tasks' decreases, as networks share capacity.

    `max_d Σ_t ⟨g_t, d⟩^(1−alpha) / (1−alpha)` on a ball; its solution is `d = Σ_t w_t g_t` with
    `G w = w^(−1/alpha)`, each weight to that power, w > 0, so that every loss decreases. alpha = 1
    is Nash-MTL (proportional fairness), alpha = 2 minimizes the potential delay, and a large alpha
    maximizes the least decrease. Losses should be of one scale unless alpha = 1.

    The weights are the paper's: multiplying all losses by s multiplies the update by
    `s^((1−alpha)/(1+alpha))`. Where gradients cancel each other with positive weights
    (Pareto-stationary points) there is no solution: eigenvalues of the cosines below 1e-12 T are
    raised to that, so that weights grow up to some 1e6 and the update goes to zero. A task whose
    gradient is zero is left out.

    Source: Ban, Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024 (arXiv
    2402.15638).

    Args:
        alpha: Above 0; the authors' values are from 1 to 10.

    Cost: O(T³) some 5 times, some 30 times for nearly opposite gradients, 200 times at most.

    Raises:
        ValueError: alpha is not a positive finite number.

    Example:
        >>> FairGrad(alpha=2.0)(tf.constant([[1.0, 0.0], [0.0, 8.0]])).numpy().round(6).tolist()
        [1.0, 0.25]
    """

    def __init__(self, alpha: float = 2.0) -> None:
        self.alpha = real_argument("alpha", alpha, "a number above 0", lambda number: number > 0)

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        return fair_weights(gramian, self.alpha)


def fair_weights(gramian: tf.Tensor, alpha: float) -> tf.Tensor:
    """Solves `G w = w^(−1/alpha)` for w > 0.

    Newton's method on `C z = y` and `log z + alpha log y = (1 − alpha) log ‖g‖`, with z = w ‖g‖, in
    steps that keep z and y positive.

    Args:
        gramian: G, [T, T], float64.
        alpha: Positive.

    Returns:
        [T], float64.
    """
    units = unit_gradients(gramian)
    cosines = with_least_eigenvalue(units.cosines, 1e-12)
    logarithms = (1 - alpha) * tf.math.log(tf.where(units.present > 0, units.norms, 1))
    # In common units, of which z and y have as many each.
    common = tf.tensordot(units.shares, logarithms, 1)
    target = (logarithms - common) * units.present

    z = _solution(cosines, target, alpha)
    return units.per_norm(z * tf.exp(common / (1 + alpha)))


@compiled
def _solution(cosines: tf.Tensor, target: tf.Tensor, alpha: float) -> tf.Tensor:
    """Solves `log z + alpha log C z = target`; all [T], C [T, T]."""

    def step(change: tf.Tensor, z: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, ...]:
        del change
        residual = tf.math.log(z) + alpha * tf.math.log(y) - target
        matrix = cosines + tf.linalg.diag(y / (alpha * z))
        right = y - tf.linalg.matvec(cosines, z) - residual * y / alpha
        relative_z = tf.linalg.solve(matrix, right[:, tf.newaxis])[:, 0] / z
        relative_y = -(residual + relative_z) / alpha
        both = tf.stack([relative_z, relative_y])
        length = 1 / tf.maximum(-tf.reduce_min(both) / 0.9, 1)
        z += length * relative_z * z
        y += length * relative_y * y
        return tf.reduce_max(tf.abs(both)), z, y

    # The solution for orthogonal gradients.
    start = tf.exp(target / (1 + alpha))
    _, z, _ = tf.while_loop(
        lambda change, z, y: change > _SMALL_STEP,
        step,
        (tf.ones([], cosines.dtype), start, start),
        maximum_iterations=_MOST_STEPS,
    )
    return z
