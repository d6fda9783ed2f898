"""Networks and training steps for `layerwise.py`: batches of a size that tracing does not know."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measuring import footprint
from benchmarks.one_core import use_one_core
from benchmarks.steps.networks import NETWORKS, Inputs, Network, Problem
from pcgrad import PCGrad
from pcgrad.layerwise.backward import backward

_LEARNING_RATE = 1e-4
_WIDTH, _POSITIONS, _HEADS, _BLOCKS = 256, 64, 4, 2


def _sequences(rng: np.random.Generator, batch: int) -> Inputs:
    shape = (_POSITIONS, _WIDTH)
    return [keras.Input(shape)], [rng.normal(size=(batch, *shape)).astype(np.float32)]


def _transformer(inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
    features = inputs[0]
    for _ in range(_BLOCKS):
        normed = keras.layers.LayerNormalization()(features)
        attention = keras.layers.MultiHeadAttention(_HEADS, _WIDTH // _HEADS)
        features = features + attention(normed, normed)
        normed = keras.layers.LayerNormalization()(features)
        hidden = keras.layers.Dense(4 * _WIDTH, activation="relu")(normed)
        features = features + keras.layers.Dense(_WIDTH)(hidden)
    return keras.layers.GlobalAveragePooling1D()(features)


CASES: dict[str, Network] = {
    "b, batch 32": dataclasses.replace(NETWORKS["b"], batch=32),
    "b, batch 128": dataclasses.replace(NETWORKS["b"], batch=128),
    "b, batch 512": NETWORKS["b"],
    "b, batch 2048": dataclasses.replace(NETWORKS["b"], batch=2048),
    "transformer": Network("transformer", 16, _sequences, _transformer),
    "a": NETWORKS["a"],
    "c": NETWORKS["c"],
    "d": NETWORKS["d"],
}
WAYS = ("plain", "floor", "tape", "layerwise", "auto")


def step_of(problem: Problem, way: str, known_batch: bool = False) -> Callable[[], Any]:
    """A compiled step: plain gradient descent.

    Args:
        problem: The network and a batch.
        way: "plain" (one backward pass of the summed losses), "floor" (T of them, no surgery) or
            how PCGrad's Gram matrix is made.
        known_batch: Whether the size of the batch is known while tracing; else any will do.
    """
    variables = problem.model.trainable_variables
    optimizer = keras.optimizers.SGD(_LEARNING_RATE)
    optimizer.build(variables)
    pcgrad = PCGrad("sum", seed=0)

    def step(inputs: list[tf.Tensor], labels: tf.Tensor) -> Any:
        given = dataclasses.replace(problem, inputs=inputs, labels=labels)
        with tf.GradientTape(persistent=True) as tape:
            losses = given.losses()
            total = tf.add_n(losses)
        if way == "plain":
            optimizer.apply_gradients(zip(tape.gradient(total, variables), variables, strict=True))
            return total
        if way == "floor":
            gradients = [tape.gradient(loss, variables) for loss in losses]
            columns = zip(*gradients, strict=True)
            update = [next(g for g in of_one if g is not None) for of_one in columns]
            optimizer.apply_gradients(zip(update, variables, strict=True))
            # Returned, or TensorFlow would see that nobody needs them and prune them.
            return gradients
        update = backward(tape, losses, variables, pcgrad, optimizer.iterations, way).update
        optimizer.apply_gradients(zip(update, variables, strict=True))
        return total

    batch = problem.labels.shape[0] if known_batch else None
    signature = [
        [tf.TensorSpec([batch, *tensor.shape[1:]], tensor.dtype) for tensor in problem.inputs],
        tf.TensorSpec([batch, problem.labels.shape[1]], problem.labels.dtype),
    ]
    traced = tf.function(step, input_signature=signature).get_concrete_function()
    return lambda: traced(problem.inputs, problem.labels)


def main() -> None:
    """Measures the time to trace and the growth of memory of one step, and prints JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("tasks", type=int)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--known-batch", action="store_true")
    args = parser.parse_args()
    use_one_core()
    problem = CASES[args.case].build(args.tasks)
    print(json.dumps(footprint(lambda: step_of(problem, args.way, args.known_batch))))


if __name__ == "__main__":
    main()
