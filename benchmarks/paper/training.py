"""Training one small network on two tasks, many times over, with one trace for each method."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.paper.digits import CANVAS, Overlays
from pcgrad import PCGrad, Weighting, combine, cosines, equal_weights, gram_matrix, task_gradients

_CLASSES = 10
_HIDDEN = 64


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is trained.

    Attributes:
        width: Units of the trunk's last layer.
        one_head: Whether one head is asked for both labels; otherwise each task has its own.
        scales: Multiply the tasks' losses, whatever the method.
    """

    width: int
    one_head: bool = False
    scales: tuple[float, float] = (1.0, 1.0)

    def network(self) -> keras.Model:
        """A trunk 144-64-width, and one or two linear heads."""
        inputs = keras.Input((CANVAS, CANVAS))
        features = keras.layers.Flatten()(inputs)
        for width in (_HIDDEN, self.width):
            features = keras.layers.Dense(width, activation="relu")(features)
        first = keras.layers.Dense(_CLASSES)(features)
        second = first if self.one_head else keras.layers.Dense(_CLASSES)(features)
        return keras.Model(inputs, [first, second])


class Trainer:
    """Trains a problem's network again and again with one method.

    Args:
        problem: What is trained.
        surgery: Whether with PCGrad; otherwise on the weighted sum of the losses.
    """

    def __init__(self, problem: Problem, surgery: bool) -> None:
        self._problem = problem
        self._model = problem.network()
        self._weighting: Weighting = PCGrad("sum", seed=0) if surgery else equal_weights
        self._optimizer = keras.optimizers.Adam()
        self._optimizer.build(self._model.trainable_variables)
        self._loss_weights = tf.Variable([1.0, 1.0], trainable=False)
        self._fit = tf.function(self._steps, jit_compile=True)

    def run(
        self,
        seed: int,
        parts: tuple[Overlays, Overlays, Overlays],
        learning_rate: float,
        ratio: float,
        steps: int,
        batch: int,
    ) -> dict[str, Any]:
        """Trains from scratch and evaluates.

        Args:
            seed: Of the initial weights and of the batches: the same for every method.
            parts: Training, validation and test data.
            learning_rate: Adam's.
            ratio: Weight of the first task's loss divided by that of the second's; they sum to 2.
            steps: Number of steps.
            batch: Rows of a batch.

        Returns:
            `validation` and `test` with `accuracy` and `cross_entropy` (unscaled) of both tasks and
            the `scaled_sum` of the cross-entropies; and the `conflicting` share of steps and their
            `mean_cosine`.
        """
        keras.utils.set_random_seed(seed)
        self._model.set_weights(self._problem.network().get_weights())
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        self._optimizer.learning_rate = learning_rate
        self._loss_weights.assign(
            np.array([2 * ratio, 2]) / (1 + ratio) * np.array(self._problem.scales)
        )
        training, validation, test = parts
        order = _batches(np.random.default_rng(seed), len(training.images), steps, batch)
        conflicting, cosine = self._fit(
            tf.constant(training.images), tf.constant(training.labels), tf.constant(order)
        )
        return {
            "validation": self._evaluate(validation),
            "test": self._evaluate(test),
            "conflicting": float(conflicting),
            "mean_cosine": float(cosine),
        }

    def _steps(
        self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """All steps; the share of conflicts and the mean cosine where the cosine is defined."""
        variables = self._model.trainable_variables
        conflicting = total = defined = tf.zeros([], tf.float64)
        for rows in order:
            chosen = tf.gather(labels, rows)
            with tf.GradientTape(persistent=True) as tape:
                logits = self._model(tf.gather(images, rows), training=True)
                losses = [
                    self._loss_weights[task] * tf.reduce_mean(_cross_entropy(chosen[:, task], x))
                    for task, x in enumerate(logits)
                ]
            gradients = task_gradients(tape, losses, variables)
            gramian = gram_matrix(gradients)
            update = combine(gradients, self._weighting(gramian, self._optimizer.iterations))
            self._optimizer.apply_gradients(zip(update, variables, strict=True))
            cosine = cosines(gramian)[0, 1]
            is_defined = tf.math.is_finite(cosine)
            conflicting += tf.cast(cosine < 0, tf.float64)
            total += tf.where(is_defined, cosine, tf.zeros_like(cosine))
            defined += tf.cast(is_defined, tf.float64)
        return conflicting / defined, total / defined

    def _evaluate(self, part: Overlays) -> dict[str, list[float]]:
        logits = self._model(part.images, training=False)
        accuracy, losses = [], []
        for task, outputs in enumerate(logits):
            truth = part.labels[:, task]
            accuracy.append(float(np.mean(np.argmax(outputs, axis=1) == truth)))
            losses.append(float(tf.reduce_mean(_cross_entropy(truth, outputs))))
        scaled_sum = [float(np.dot(self._problem.scales, losses))]
        return {"accuracy": accuracy, "cross_entropy": losses, "scaled_sum": scaled_sum}


def _cross_entropy(labels: Any, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _batches(rng: np.random.Generator, rows: int, steps: int, batch: int) -> npt.NDArray[np.int32]:
    """[steps, batch] indices, epoch by epoch without repetition; a part left over is dropped."""
    per_epoch = rows // batch
    epochs = -(-steps // per_epoch)
    order = [rng.permutation(rows)[: per_epoch * batch] for _ in range(epochs)]
    return np.concatenate(order).reshape(-1, batch)[:steps].astype(np.int32)
