"""`gramian="features"`: weights from the gradients by the features that the heads begin with."""

import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad
from pcgrad.layerwise import layerwise_backward
from pcgrad.layerwise.features import mark_as_features
from weighting_methods import METHODS

ROWS, INPUTS, WIDTH, TASKS = 6, 4, 3, 3
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, INPUTS))
Y = RNG.normal(size=(TASKS, ROWS))
FIRST, SECOND = RNG.normal(size=(INPUTS, WIDTH)), RNG.normal(size=(WIDTH, WIDTH))
# The heads see the second layer, and the first one past it.
HEADS = RNG.normal(size=(TASKS, 2 * WIDTH))


def variables():
    return [tf.Variable(values) for values in (FIRST, SECOND, *HEADS[:, :, np.newaxis])]


def squares(x, weights):
    first = tf.tanh(tf.matmul(x, weights[0]))
    second = tf.tanh(tf.matmul(first, weights[1]))
    both = [first, second]
    return [
        tf.reduce_sum(tf.square(sum_of_products(both, head) - y))
        for head, y in zip(weights[2:], Y, strict=True)
    ]


def sum_of_products(parts, head):
    first, second = tf.split(head, 2)
    return (tf.matmul(parts[0], first) + tf.matmul(parts[1], second))[:, 0]


def by_hand(weighting):
    """The update, and the Gram matrix at the features, by the chain rule."""
    first = np.tanh(X @ FIRST)
    second = np.tanh(first @ SECOND)
    features = np.concatenate([first, second], axis=1)
    errors = 2 * (HEADS @ features.T - Y)
    by_features = errors[:, :, np.newaxis] * HEADS[:, np.newaxis]
    flat = by_features.reshape(TASKS, -1)
    weights = weighting(tf.constant(flat @ flat.T), 4).numpy()
    combined = np.tensordot(weights, by_features, 1)
    by_second = combined[:, WIDTH:] * (1 - second**2)
    by_first = (combined[:, :WIDTH] + by_second @ SECOND.T) * (1 - first**2)
    heads = errors @ features
    return [X.T @ by_first, first.T @ by_second, *heads[:, :, np.newaxis]], flat @ flat.T


def backward(losses, weights, weighting, gramian="features", step=4):
    with tf.GradientTape(persistent=True) as tape:
        made = losses()
    return layerwise_backward(tape, made, weights, weighting, step, gramian=gramian)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_update_is_that_by_hand(jit_compile):
    weights, weighting = variables(), PCGrad("sum", seed=1)

    @tf.function(jit_compile=jit_compile)
    def step():
        return backward(lambda: squares(tf.constant(X), weights), weights, weighting)

    wanted, gramian = by_hand(weighting)
    assert (gramian < 0).any()
    for one, other in zip(step(), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


@pytest.mark.slow
def test_every_method_weighs_by_them():
    weights = variables()
    methods = {name: method.make() for name, method in METHODS.items()}
    for method in methods.values():
        if hasattr(method, "build"):
            method.build(TASKS)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape(persistent=True) as tape:
            losses = squares(tf.constant(X), weights)
        return {
            name: layerwise_backward(tape, losses, weights[:2], method, 4, gramian="features")
            for name, method in methods.items()
        }

    found = step()
    for name, method in METHODS.items():
        wanted, _ = by_hand(method.make())
        for one, other in zip(found[name], wanted[:2], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-7, err_msg=name)


def test_where_the_trunk_keeps_products_it_is_the_method_itself():
    """The features are X W, and the rows of X are orthonormal."""
    x = np.linalg.qr(RNG.normal(size=(INPUTS, INPUTS)))[0]
    kernel = tf.Variable(RNG.normal(size=(INPUTS, WIDTH)))
    heads = [tf.constant(RNG.normal(size=(WIDTH, 1))) for _ in range(4)]

    def losses():
        features = tf.matmul(tf.constant(x), kernel)
        return [tf.reduce_sum(tf.sin(tf.matmul(features, head))) for head in heads]

    updates = {
        way: tf.function(lambda way=way: backward(losses, [kernel], PCGrad(seed=2), way))()
        for way in ("features", "tape")
    }
    np.testing.assert_allclose(updates["features"][0], updates["tape"][0], rtol=1e-12)


def slices_of_one_output(features, kernel):
    both = tf.matmul(features, kernel)
    return [tf.reduce_sum(tf.square(both[:, task] - task)) for task in range(2)]


def test_marked_features_take_the_place_of_what_the_heads_begin_with():
    weights = [tf.Variable(FIRST), tf.Variable(RNG.normal(size=(WIDTH, 2)))]
    seen = []

    def weighting(gramian, step):
        seen.append(gramian)
        return tf.ones([2], tf.float64)

    def step(mark):
        def losses():
            features = mark(tf.tanh(tf.matmul(tf.constant(X), weights[0])))
            return slices_of_one_output(features, weights[1])

        backward(losses, weights, weighting)
        return seen[-1]

    assert tf.function(step)(tf.identity)[0, 1] == 0  # as no task's slice is another's
    marked = tf.function(step)(mark_as_features).numpy()
    features = np.tanh(X @ FIRST)
    errors = 2 * (features @ weights[1].numpy() - [0, 1])
    by_features = [np.outer(errors[:, t], weights[1][:, t]).ravel() for t in range(2)]
    np.testing.assert_allclose(marked, np.inner(by_features, by_features), rtol=1e-10)


def test_groups_of_tasks_may_have_marked_features_of_their_own():
    """Of three tasks the last two have a layer in common; no features are all tasks'."""
    own, kernel = tf.Variable(2.0, dtype=tf.float64), tf.Variable(FIRST)
    slopes = RNG.normal(size=(2, ROWS, WIDTH))

    def step(mark):
        def losses():
            features = mark(tf.matmul(tf.constant(X), kernel))
            return [own**2, *(tf.reduce_sum(features * slope) for slope in slopes)]

        return backward(losses, [own, kernel], PCGrad("sum", projection="simultaneous"))

    alone, update = tf.function(step)(mark_as_features)
    first, second = slopes.reshape(2, -1)
    product = min(first @ second, 0)
    weights = [1 - product / (first @ first), 1 - product / (second @ second)]
    assert product < 0
    assert alone == 4
    np.testing.assert_allclose(update, X.T @ np.tensordot(weights, slopes, 1))
    with pytest.raises(ValueError, match="have no features in common"):
        tf.function(step)(tf.identity)


def test_features_within_a_function_are_not_seen():
    """There every loss would seem to begin with an output of its own."""
    kernel, heads = tf.Variable(FIRST), tf.Variable(HEADS[:, :WIDTH])

    @tf.function
    def model(x):
        outputs = tf.matmul(tf.tanh(tf.matmul(x, kernel)), heads, transpose_b=True)
        return tf.unstack(outputs, axis=1)

    def losses():
        return [tf.reduce_sum(tf.square(output)) for output in model(tf.constant(X))]

    with pytest.raises(ValueError, match="mark them by the layer pcgrad.keras.layers.SharedFeatu"):
        tf.function(lambda: backward(losses, [kernel, heads], PCGrad()))()


def test_a_single_task_has_its_gradient():
    weights = variables()
    (found, *_) = backward(lambda: squares(tf.constant(X), weights)[:1], weights, PCGrad())
    wanted, _ = by_hand(lambda gramian, step: tf.constant([1.0, 0, 0], tf.float64))
    np.testing.assert_allclose(found, wanted[0])


def test_without_a_graph_there_are_no_features_to_find():
    weights = variables()
    with pytest.raises(ValueError, match="in the graph of a step: run it in a tf.function"):
        backward(lambda: squares(tf.constant(X), weights), weights, PCGrad())
