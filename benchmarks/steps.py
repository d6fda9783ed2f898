"""One training step in every way that is compared, with plain gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from benchmarks.networks import Problem
from pcgrad import PCGrad, PPCGrad

Step = Callable[[], Any]

_LEARNING_RATE = 1e-4


def plain(problem: Problem) -> Step:
    """One backward pass of the summed losses."""
    apply = _optimizer(problem)

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.add_n(problem.losses())
        apply(tape.gradient(loss, problem.model.trainable_variables))
        return loss

    return step


def floor(problem: Problem) -> Step:
    """T backward passes, no surgery: what the ordinary approach cannot go below.

    The gradients are returned, or TensorFlow would see that nobody needs them and prune them.
    """
    apply = _optimizer(problem)

    def step() -> Any:
        gradients = _task_gradients(problem)
        # Every variable is updated once, as in all other steps.
        apply([next(g for g in of_one if g is not None) for of_one in zip(*gradients, strict=True)])
        return gradients

    return step


def surgery(method: PCGrad | PPCGrad) -> Callable[[Problem], Step]:
    """Ours."""

    def make(problem: Problem) -> Step:
        apply = _optimizer(problem)

        def step() -> Any:
            with tf.GradientTape(persistent=True) as tape:
                losses = problem.losses()
            apply(method.pc_backward(tape, losses, problem.model.trainable_variables))
            return losses[0]

        return step

    return make


def textbook(problem: Problem) -> Step:
    """PCGrad as it is usually written: flatten every task's gradients, loop over the pairs.

    As in the paper's Algorithm 1, but for the heads, which are flattened in.
    """
    apply = _optimizer(problem)

    def step() -> Any:
        variables = problem.model.trainable_variables
        flat = tf.stack([_flat(gradients, variables) for gradients in _task_gradients(problem)])
        tasks = flat.shape[0]
        projected = []
        for i in range(tasks):
            order = tf.random.shuffle([j for j in range(tasks) if j != i])
            running = flat[i]
            for k in range(tasks - 1):
                other = tf.gather(flat, order[k])
                inner = tf.reduce_sum(running * other)
                running -= tf.minimum(inner, 0.0) / tf.reduce_sum(other**2) * other
            projected.append(running)
        parts = tf.split(tf.add_n(projected), [tf.size(v) for v in variables])
        apply([tf.reshape(p, v.shape) for p, v in zip(parts, variables, strict=True)])
        return projected[0][0]

    return step


STEPS: dict[str, Callable[[Problem], Step]] = {
    "plain": plain,
    "floor": floor,
    "PCGrad": surgery(PCGrad(seed=0)),
    "PPCGrad": surgery(PPCGrad(seed=0)),
    "simultaneous": surgery(PCGrad(projection="simultaneous", seed=0)),
    "textbook": textbook,
}


def _task_gradients(problem: Problem) -> list[list[Any]]:
    with tf.GradientTape(persistent=True) as tape:
        losses = problem.losses()
    return [tape.gradient(loss, problem.model.trainable_variables) for loss in losses]


def _flat(gradients: Sequence[Any], variables: Sequence[tf.Variable]) -> tf.Tensor:
    dense = [
        tf.zeros(variable.shape) if gradient is None else tf.convert_to_tensor(gradient)
        for gradient, variable in zip(gradients, variables, strict=True)
    ]
    return tf.concat([tf.reshape(part, [-1]) for part in dense], axis=0)


def _optimizer(problem: Problem) -> Callable[[Iterable[Any]], None]:
    optimizer = keras.optimizers.SGD(_LEARNING_RATE)
    optimizer.build(problem.model.trainable_variables)

    def apply(gradients: Iterable[Any]) -> None:
        optimizer.apply_gradients(zip(gradients, problem.model.trainable_variables, strict=True))

    return apply
