"""`layerwise_backward` in loops of one's own: called as `pc_backward` is, with its errors."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad, equal_weights
from pcgrad.layerwise import layerwise_backward
from small_graphs import INPUTS, OUTPUTS, N, data, targets, variable


def test_a_custom_loop(caplog):
    """`layerwise_backward` is to be called as `pc_backward` is; it logs its routes when traced."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((INPUTS,))
    trunk = keras.layers.Dense(OUTPUTS, activation="relu")(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(1)(trunk) for _ in range(3)])
    x = data(N, INPUTS)

    def backward(way):
        with tf.GradientTape(persistent=True) as tape:
            losses = {f"task {i}": tf.square(y - i) for i, y in enumerate(model(x))}
        return way(tape, losses, model.trainable_variables)

    pcgrad = PCGrad("mean", seed=3)
    expected = tf.function(lambda: backward(lambda *a: pcgrad.pc_backward(*a, step=5)))()
    with caplog.at_level(logging.INFO, "pcgrad.layerwise"):
        found = tf.function(lambda: backward(lambda *a: layerwise_backward(*a, pcgrad, step=5)))()
    assert "kernel: product, by rows" in caplog.text
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gramian", ["layerwise", "auto", "tape"])
def test_errors_are_those_of_the_tape(gramian):
    w = variable(3, 2)

    @tf.function(autograph=False)
    def step(losses, variables):
        with tf.GradientTape(persistent=True) as tape:
            made = losses()
        return layerwise_backward(tape, made, variables, equal_weights, gramian=gramian)

    with pytest.raises(ValueError, match="`losses` is empty"):
        step(list, [w])
    with pytest.raises(ValueError, match="`variables` is empty"):
        step(lambda: [tf.reduce_sum(w)], [])
    with pytest.raises(ValueError, match="no loss in `losses` reaches"):
        step(lambda: [tf.constant(1.0), tf.constant(2.0)], [w])
    with pytest.raises(TypeError, match=r"losses\['0'\]"):
        step(lambda: [tf.constant(1), tf.constant(2)], [w])


def test_a_tape_that_is_not_persistent():
    w = variable(3, 2)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            losses = targets(tf.matmul(data(N, 3), w))
        return layerwise_backward(tape, losses, [w], PCGrad(), step=0)

    with pytest.raises(ValueError, match="`tape` is not persistent"):
        step()


def test_an_unknown_way():
    with pytest.raises(ValueError, match='`gramian` must be one of "tape", "layerwise", "auto"'):
        layerwise_backward(None, [], [], equal_weights, gramian="fast")


@pytest.mark.parametrize("gramian", ["layerwise", "auto"])
def test_the_surgery_counts_steps_where_none_is_given(gramian):
    w = variable(600, 600)
    pcgrad = PCGrad(seed=1)

    @tf.function(input_signature=[tf.TensorSpec([None, 600], tf.float64)], autograph=False)
    def step(x):
        with tf.GradientTape(persistent=True) as tape:
            losses = targets(tf.tanh(tf.matmul(x, w)), tasks=5)
        return layerwise_backward(tape, losses, [w], pcgrad, gramian=gramian)

    for _ in range(3):
        step(data(4, 600))
    step(data(900, 600))  # `auto` goes the tape's way
    assert int(pcgrad._steps) == 4
