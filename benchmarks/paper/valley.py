"""The two-dimensional problem of the PCGrad paper's figure 1 (Yu et al. 2020, appendix D)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.paper.differences import paired_difference
from pcgrad import PCGrad, equal_weights

# As in the paper.
PAPER_START = (0.5, -3.0)
PAPER_LEARNING_RATE = 1e-3
PAPER_STEPS = 500_000

LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
METHODS = ("Adam", "Adam, 4:1", "Adam, 1:4", "PCGrad + Adam")

# What random starts are drawn from: both valleys, and the slopes on either side.
_LOWEST, _HIGHEST = (-5.0, -4.0), (4.0, 4.0)
_POINTS = 100


def task_losses(theta: Any) -> list[Any]:
    """The two tasks' losses at [..., 2] points; where both valleys meet is θ = (−2, ∞)."""
    half, curve = theta[..., 0] / 2, tf.tanh(theta[..., 1])
    return [
        20 * tf.math.log(tf.maximum(tf.abs(half + curve), 5e-6)),
        25 * tf.math.log(tf.maximum(tf.abs(half - curve + 2), 5e-6)),
    ]


class Descent:
    """Adam from several starts at once, which do not influence each other.

    Args:
        method: One of `METHODS`.
        starts: [starts, 2].
    """

    def __init__(self, method: str, starts: npt.ArrayLike) -> None:
        self._starts = np.asarray(starts, np.float64)
        self._theta = keras.Variable(self._starts, dtype="float64")
        self._optimizer = keras.optimizers.Adam()
        self._optimizer.build([self._theta])
        self._weighting = PCGrad("sum", seed=0) if method.startswith("PCGrad") else equal_weights
        self._loss_weights = {"Adam, 4:1": (1.6, 0.4), "Adam, 1:4": (0.4, 1.6)}.get(method, (1, 1))
        self._advance = tf.function(self._steps, jit_compile=True)

    def run(self, learning_rate: float, steps: int) -> dict[str, Any]:
        """Descends.

        Args:
            learning_rate: Adam's.
            steps: Number of steps.

        Returns:
            For each start: `path`, its places at the steps `marks`; `losses`, the mean summed loss
            since the previous mark; `final_loss`, the mean summed loss of the last tenth of the
            steps (within a valley the loss of a single step depends on how close to its singular
            floor that step happens to land); `conflicting`, the share of steps with a conflict.
        """
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        self._optimizer.learning_rate = learning_rate
        self._theta.assign(self._starts)
        tenth = steps - steps // 10
        marks = np.union1d(np.geomspace(1, steps, _POINTS).astype(int), [tenth, steps])
        path, losses, conflicts = [self._starts], [], np.zeros(len(self._starts))
        lengths = np.diff(marks, prepend=0)
        for length in lengths:
            loss, conflicting = self._advance(tf.constant(length))
            path.append(self._theta.numpy())
            losses.append(loss.numpy() / length)
            conflicts += conflicting.numpy()
        last = marks > tenth
        return {
            "marks": marks,
            "path": np.swapaxes(path, 0, 1),
            "losses": np.transpose(losses),
            "final_loss": np.average(np.array(losses)[last], axis=0, weights=lengths[last]),
            "conflicting": conflicts / steps,
        }

    def _steps(self, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        losses = conflicts = tf.zeros(len(self._starts), tf.float64)
        done = tf.zeros_like(count)
        # Not `in tf.range(count)`, which XLA would compile anew for each count.
        while done < count:
            with tf.GradientTape(persistent=True) as tape:
                by_task = task_losses(self._theta.value)
            gradients = tf.stack(
                [
                    weight * tape.gradient(loss, self._theta.value)
                    for weight, loss in zip(self._loss_weights, by_task, strict=True)
                ],
                axis=1,
            )
            gramians = tf.matmul(gradients, gradients, transpose_b=True)
            weights = tf.vectorized_map(
                lambda gramian: self._weighting(gramian, self._optimizer.iterations), gramians
            )
            update = tf.einsum("st,std->sd", weights, gradients)
            self._optimizer.apply_gradients([(update, self._theta)])
            losses += tf.add_n(by_task)
            conflicts += tf.cast(gramians[:, 0, 1] < 0, tf.float64)
            done += 1
        return losses, conflicts


def starting_points(seeds: int) -> npt.NDArray[np.float64]:
    """The paper's start and one random start for each seed, [1 + seeds, 2]."""
    random = [np.random.default_rng(seed).uniform(_LOWEST, _HIGHEST) for seed in range(seeds)]
    return np.array([PAPER_START, *random])


def run(
    seeds: int, steps: int = PAPER_STEPS, learning_rates: Sequence[float] = LEARNING_RATES
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compares the methods from all starts.

    Args:
        seeds: Number of random starts.
        steps: Number of steps.
        learning_rates: Adam's; the paper's is always among them.

    Returns:
        What goes to the results' file; and by method its run at the paper's learning rate.
    """
    starts = starting_points(seeds)
    rows, shown = [], {}
    found: dict[tuple[str, float], Mapping[str, Any]] = {}
    for method in METHODS:
        descent = Descent(method, starts)
        for rate in sorted({PAPER_LEARNING_RATE, *learning_rates}):
            found[method, rate] = descent.run(rate, steps)
        shown[method] = found[method, PAPER_LEARNING_RATE]
    for (method, rate), result in found.items():
        final, adam = result["final_loss"], found["Adam", rate]["final_loss"]
        rows.append(
            {
                "method": method,
                "learning_rate": rate,
                "paper_start": float(final[0]),
                "random_starts": final[1:].tolist(),
                "mean": float(final[1:].mean()),
                "minus_adam": vars(paired_difference(final[1:], adam[1:])),
                "end_of_paper_start": result["path"][0, -1].tolist(),
                "reached": int(_is_at_optimum(result["path"][1:, -1]).sum()),
                "conflicting_paper_start": float(result["conflicting"][0]),
                "conflicting": float(result["conflicting"][1:].mean()),
            }
        )
    return {"steps": steps, "starts": starts.tolist(), "rows": rows}, shown


def _is_at_optimum(theta: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether points [..., 2] lie where the valleys meet, at θ₁/2 = −1 and tanh θ₂ = 1."""
    away = np.stack([theta[..., 0] / 2 + 1, np.tanh(theta[..., 1]) - 1])
    return np.abs(away).max(axis=0) < 0.1
