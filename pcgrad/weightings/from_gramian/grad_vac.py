"""GradVac: PCGrad towards the cosines that pairs of tasks have had so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from pcgrad.weightings.arguments import natural_argument, real_argument
from pcgrad.weightings.compiled import compiled
from pcgrad.weightings.projection import projection_orders
from pcgrad.weightings.stateful import StatefulWeighting
from pcgrad.weightings.unit_gradients import unit_gradients


class GradVac(StatefulWeighting):
    """Gradient vaccine: brings each pair's cosine up to its running mean, conflicting or not.

    Each task's gradient visits the others in random order, as in PCGrad. Where the cosine φ of the
    running gradient and g_j is below the target φ̂_ij, so much of g_j is added that it becomes the
    target: `‖g_i‖ (φ̂ √(1−φ²) − φ √(1−φ̂²)) / (‖g_j‖ √(1−φ̂²))`, g_i being the running gradient. Then
    `φ̂_ij ← (1−β) φ̂_ij + β φ`. The update is the sum of the results. For many tasks that are related
    to different degrees, as languages are: PCGrad leaves pairs alone whose gradients merely agree
    less than usual.

    One group of variables, all shared ones (the paper also takes one for each layer). Targets begin
    at zero, so the first step is PCGrad's with "sum"; with β = 0 each step is. Pairs with a zero
    gradient are not visited. TorchJD and LibMTL have β = 0.5 by default.

    Source: Wang, Tsvetkov, Firat, Cao, "Gradient Vaccine: Investigating and Improving Multi-task
    Optimization in Massively Multilingual Models", ICLR 2021 (arXiv 2010.05874).

    Args:
        beta: β, the share of the newest cosine in the running mean: from 0 up to, not including, 1.
        seed: The orders are a function of the seed and the step (which is counted here, in a saved
            variable, where a call gives none).

    Cost: T visits of O(T²).

    Raises:
        ValueError: beta is not in its range, or seed is not an integer of 0 or more.

    Example:
        >>> vaccine = GradVac(beta=0.5)
        >>> vaccine(tf.constant([[1.0, 0.6], [0.6, 1.0]])).numpy().tolist()
        [1.0, 1.0]
        >>> vaccine(tf.constant([[1.0, 0.0], [0.0, 1.0]])).numpy().round(3).tolist()
        [1.314, 1.314]
    """

    def __init__(self, beta: float = 0.01, *, seed: int = 0) -> None:
        super().__init__()
        self.beta = real_argument(
            "beta", beta, "a number of 0 ≤ beta < 1", lambda number: 0 <= number < 1
        )
        self.seed = natural_argument("seed", seed)

    def _initial_state(self, tasks: int) -> Mapping[str, Any]:
        return {"targets": [[0.0] * tasks] * tasks, "steps": 0.0}

    def _next(
        self,
        state: Mapping[str, tf.Tensor],
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        del losses
        if step is None:
            step = tf.cast(state["steps"], tf.int64)
        orders = projection_orders(self.seed, step, gramian.shape[0])
        weights, targets = _after_visits(gramian, orders, state["targets"], self.beta)
        return weights, {"targets": targets, "steps": state["steps"] + 1}


@compiled
def _after_visits(
    gramian: tf.Tensor, orders: tf.Tensor, targets: tf.Tensor, beta: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Each task's gradient visits the others.

    Args:
        gramian: [T, T], float64.
        orders: For each task the tasks that it visits, [T, T].
        targets: The cosines that are aimed at, [T, T], float64.
        beta: The share of the newest cosine in them.

    Returns:
        The weights [T], and the new targets [T, T].
    """
    units, tasks = unit_gradients(gramian), gramian.shape[0]
    others = units.present[:, tf.newaxis] * units.present
    others = tf.linalg.set_diag(others, tf.zeros_like(units.norms))
    # By position: the task that each task visits.
    visits = tf.transpose(orders)

    def visit(
        position: tf.Tensor,
        running: tf.Tensor,
        products: tf.Tensor,
        squares: tf.Tensor,
        targets: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        visited = tf.gather(visits, position)
        chosen = tf.one_hot(visited, tasks, dtype=gramian.dtype)
        allowed = tf.reduce_sum(others * chosen, axis=1)
        inner = tf.reduce_sum(products * chosen, axis=1)
        target = tf.reduce_sum(targets * chosen, axis=1)
        norms = tf.sqrt(tf.maximum(squares, 0))
        cosine = tf.clip_by_value(tf.math.divide_no_nan(inner, norms), -1, 1)
        lacking = target * tf.sqrt((1 - cosine**2) / (1 - target**2)) - cosine
        added = tf.where(cosine < target, allowed * norms * lacking, 0)
        running += chosen * added[:, tf.newaxis]
        products += tf.gather(units.cosines, visited) * added[:, tf.newaxis]
        squares += added * (2 * inner + added)
        targets += chosen * (beta * allowed * (cosine - target))[:, tf.newaxis]
        return position + 1, running, products, squares, targets

    # In units of each task's own norm: coefficients of the unit gradients, inner products with
    # them, and squared norms.
    start = tf.eye(tasks, dtype=gramian.dtype)
    _, running, _, _, targets = tf.while_loop(
        lambda position, *_: position < tasks,
        visit,
        (0, start, units.cosines, tf.ones_like(units.norms), targets),
        maximum_iterations=tasks,
    )
    return units.per_norm(tf.linalg.matvec(running, units.norms, transpose_a=True)), targets
