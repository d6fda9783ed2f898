"""A variable that is listed several times counts once, whichever way it is differentiated."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad, PPCGrad, gram_matrix, task_gradients
from pcgrad.layerwise import layerwise_backward, layerwise_gradients


def losses(v, u):
    """With a conflict in `v` alone, which a second `v` would make stronger."""
    return [v[0] + 0.2 * u[0], -v[0] + v[1] + 3.0 * u[0] + u[1]]


@pytest.fixture
def variables():
    return tf.Variable([1.0, 1.0]), tf.Variable([1.0, 1.0])


def test_in_the_gram_matrix(variables):
    v, u = variables
    with tf.GradientTape(persistent=True) as tape:
        made = losses(v, u)
    once = gram_matrix(task_gradients(tape, made, [v, u]))
    np.testing.assert_allclose(once, [[1.04, -0.4], [-0.4, 12.0]], rtol=1e-6)
    for repeated in ([v, v, u], [v, u, v], [u, v, u, v, v]):
        found = gram_matrix(task_gradients(tape, made, repeated))
        np.testing.assert_array_equal(found, once)


@pytest.mark.parametrize("traced", [False, True])
def test_each_place_gets_the_update(surgery_class, variables, traced):
    v, u = variables
    surgery = surgery_class("sum")

    def update(listed):
        with tf.GradientTape(persistent=True) as tape:
            made = losses(v, u)
        return surgery.pc_backward(tape, made, listed, step=0)

    once, thrice = (
        (tf.function(update) if traced else update)(listed) for listed in ([v, u], [u, v, v, v])
    )
    assert len(thrice) == 4
    for actual, expected in zip(thrice, [once[1], once[0], once[0], once[0]], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_the_plain_sum_is_the_tapes(variables):
    """Without a conflict: what `tf.GradientTape.gradient` gives for the same list."""
    v, u = variables
    with tf.GradientTape(persistent=True) as tape:
        made = [v[0] + u[0], 2.0 * v[0] + u[1]]
        total = tf.add_n(made)
    listed = [v, u, v]
    update = PCGrad("sum").pc_backward(tape, made, listed)
    for actual, expected in zip(update, tape.gradient(total, listed), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_keras_variable_and_its_tf_variable(surgery_class):
    v = keras.Variable([1.0, 1.0])
    u = tf.Variable([1.0, 1.0])
    with tf.GradientTape(persistent=True) as tape:
        made = losses(v.value, u)
    surgery = surgery_class("sum")
    once = surgery.pc_backward(tape, made, [v, u], step=0)
    twice = surgery.pc_backward(tape, made, [v, u, v.value], step=0)
    for actual, expected in zip(twice, [*once, once[0]], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_table(surgery_class):
    table = tf.Variable(np.ones((5, 2)), dtype=tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        made = [tf.reduce_sum(tf.gather(table, [1, 3])), -2.0 * tf.reduce_sum(table[3:4] * [1, 0])]
        made.append(-tf.reduce_sum(tf.gather(table, [3])))
    surgery = surgery_class("sum", seed=0)
    (once,) = surgery.pc_backward(tape, made, [table], step=0)
    for found in surgery.pc_backward(tape, made, [table, table], step=0):
        np.testing.assert_array_equal(tf.convert_to_tensor(found), tf.convert_to_tensor(once))


def test_one_that_only_one_task_reaches(variables):
    """It is task-specific, however often it is listed."""
    v, u = variables
    with tf.GradientTape(persistent=True) as tape:
        made = [v[0] + u[0], -v[0] + v[1]]
    update = PCGrad("mean").pc_backward(tape, made, [u, v, u])
    np.testing.assert_array_equal(update[0], [1.0, 0.0])
    np.testing.assert_array_equal(update[2], [1.0, 0.0])


@pytest.mark.parametrize("gramian", ["layerwise", "auto"])
def test_layer_by_layer(gramian):
    """A kernel with its bias, and a table."""
    rng = np.random.default_rng(0)
    table, kernel = (
        tf.Variable(rng.normal(size=shape) / 10, dtype=tf.float64) for shape in ((6, 20), (20, 15))
    )
    bias = tf.Variable(np.zeros(15))
    heads = tf.constant(rng.normal(size=(15, 3)))

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape(persistent=True) as tape:
            rows = tf.nn.embedding_lookup(table, [0, 3, 3, 5])
            outputs = tf.matmul(tf.tanh(tf.matmul(rows, kernel) + bias), heads)
            made = tf.unstack(tf.reduce_mean(outputs, axis=0), num=3)
        once, repeated = [table, kernel, bias], [bias, kernel, table, kernel, bias, table]
        gramians = [
            gram_matrix(layerwise_gradients(tape, made, listed)) for listed in (once, repeated)
        ]
        updates = [
            layerwise_backward(tape, made, listed, PPCGrad(seed=0), 0, gramian=gramian)
            for listed in (once, repeated)
        ]
        return gramians, [[tf.convert_to_tensor(g) for g in update] for update in updates]

    (g, h), (once, repeated) = step()
    np.testing.assert_allclose(h, g, rtol=1e-12)
    for actual, place in zip(repeated, [2, 1, 0, 1, 2, 0], strict=True):
        np.testing.assert_allclose(actual, once[place], rtol=1e-9, atol=1e-12)


def test_packed_gradients_cannot_have_it(surgery_class, variables):
    """Nothing in the vectors would tell that some elements are the same."""
    v, u = variables
    with tf.GradientTape(persistent=True) as tape:
        made = losses(v, u)
    with pytest.raises(ValueError, match=r"variables\[2\] is variables\[0\] once more"):
        surgery_class().pack_grad(tape, made, [v, u, v])
