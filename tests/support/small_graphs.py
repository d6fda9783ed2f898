"""Variables, data and losses for the tests of layer-wise Gram matrices; comparing with the tape."""

import numpy as np
import tensorflow as tf

from pcgrad import combine, gram_matrix, task_gradients
from pcgrad.layerwise import layerwise_gradients

N, INPUTS, OUTPUTS = 4, 30, 29


def variable(*shape, seed=0, name=None):
    rng = np.random.default_rng(seed)
    return tf.Variable(rng.normal(size=shape) / 10, dtype=tf.float64, name=name)


def data(*shape, seed=9):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def targets(features, tasks=3):
    """A loss for each task, of random directions."""
    heads = data(features.shape[-1], tasks, seed=3)
    return tf.unstack(tf.reduce_mean(tf.square(tf.matmul(features, heads)), axis=0), num=tasks)


def compare(losses_of, variables, eager=False, tape_arguments=None):
    """Asserts that both ways agree; returns the description."""
    described = []

    def step():
        with tf.GradientTape(persistent=True, **(tape_arguments or {})) as tape:
            losses = losses_of(tape)
        plain = task_gradients(tape, losses, variables)
        layerwise = layerwise_gradients(tape, losses, variables)
        described.append(layerwise.describe())
        results = []
        for found in (plain, layerwise):
            gramian = gram_matrix(found)
            update = combine(found, tf.linspace(0.5, 2.0, len(losses)))
            assert [g is None for g in update] == [
                not found.of_variable(i) for i in range(len(variables))
            ]
            results.append([gramian, *(tf.convert_to_tensor(g) for g in update if g is not None)])
        return results

    one, other = step() if eager else tf.function(step, autograph=False)()
    for expected, actual in zip(one, other, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)
    return described[0]


def route(description, name):
    (line,) = [line for line in description.splitlines() if line.strip().startswith(f"{name}:")]
    return line.partition(":0: ")[2] or line.partition(": ")[2]
