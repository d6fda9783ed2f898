"""One training step in every way that is compared, with plain gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from benchmarks.steps.networks import Problem
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

    The paper's Algorithm 1 in the form that most implementations give it (among them
    WeiChengTseng/Pytorch-PCGrad and NoteDance/PCGrad, whose results it has): one vector for each
    task, of all variables, with a mask of those that the task reaches; all vectors are shuffled for
    each task; what only some tasks reach is summed.
    """
    apply = _optimizer(problem)

    def step() -> Any:
        variables = problem.model.trainable_variables
        flattened = [_flat(gradients, variables) for gradients in _task_gradients(problem)]
        vectors = tf.stack([vector for vector, _ in flattened])
        shared = tf.reduce_all(tf.stack([mask for _, mask in flattened]), axis=0)
        projected: list[tf.Tensor] = []
        for vector, _ in flattened:
            running = vector
            # Task by task, or all T shuffled copies of everything would be in memory at once.
            with tf.control_dependencies(projected[-1:]):
                shuffled = tf.random.shuffle(vectors)
            for other in tf.unstack(shuffled):
                running = _without_conflict(running, other)
            projected.append(running)
        total = tf.add_n(projected)
        merged = tf.where(shared, total / len(projected), total)
        parts = tf.split(merged, [tf.size(v) for v in variables])
        apply([tf.reshape(p, v.shape) for p, v in zip(parts, variables, strict=True)])
        return merged[0]

    return step


def _without_conflict(vector: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    inner = tf.tensordot(vector, other, axes=1)
    return tf.cond(
        inner < 0,
        lambda: vector - inner * other / tf.reduce_sum(tf.square(other)),
        lambda: vector,
    )


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


def _flat(
    gradients: Sequence[Any], variables: Sequence[tf.Variable]
) -> tuple[tf.Tensor, tf.Tensor]:
    values, masks = [], []
    for gradient, variable in zip(gradients, variables, strict=True):
        absent = gradient is None
        dense = tf.zeros(variable.shape) if absent else tf.convert_to_tensor(gradient)
        values.append(tf.reshape(dense, [-1]))
        masks.append(tf.fill(values[-1].shape, not absent))
    return tf.concat(values, axis=0), tf.concat(masks, axis=0)


def _optimizer(problem: Problem) -> Callable[[Iterable[Any]], None]:
    optimizer = keras.optimizers.SGD(_LEARNING_RATE)
    optimizer.build(problem.model.trainable_variables)

    def apply(gradients: Iterable[Any]) -> None:
        optimizer.apply_gradients(zip(gradients, problem.model.trainable_variables, strict=True))

    return apply
