"""Random Keras models: the update is the tape's, whatever the layers, the tasks and the weights."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcgrad import PCGrad, combine, gram_matrix, task_gradients
from pcgrad.layerwise import layerwise_gradients, stacking

BATCH = 5


class Doubled(keras.layers.Layer):
    """A custom layer that uses its kernel twice, and a scale."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return self.scale * keras.ops.matmul(
            keras.ops.tanh(keras.ops.matmul(x, self.kernel)), self.kernel
        )


class Cubed(keras.layers.Layer):
    """A gradient of one's own, and a kernel inside it."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, x):
        @tf.custom_gradient
        def cube(value):
            return value**3, lambda upstream: 3 * value**2 * upstream

        return cube(keras.ops.matmul(x, self.kernel))


class Nested(keras.layers.Layer):
    """Out of sight: a function of its own, with a condition in it."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, x):
        @tf.function
        def inner(value):
            return tf.cond(
                tf.reduce_sum(value) > 0,
                lambda: tf.matmul(value, tf.convert_to_tensor(self.kernel)),
                lambda: 2.0 * tf.matmul(value, tf.convert_to_tensor(self.kernel)),
            )

        return inner(x)


def sequence(x):
    return keras.layers.Reshape((2, -1))(keras.layers.Dense(6)(x))


def positions(x):
    return keras.layers.Flatten()(keras.layers.Dense(4)(sequence(x)))


def residual(x):
    return x + keras.layers.Dense(x.shape[-1])(x)


def attention(x):
    x = sequence(x)
    return keras.layers.Flatten()(keras.layers.MultiHeadAttention(2, 3)(x, x))


def recurrent(x):
    return keras.layers.LSTM(3)(sequence(x))


def convolution(x):
    x = keras.layers.Reshape((3, 3, 1))(keras.layers.Dense(9)(x))
    return keras.layers.Flatten()(keras.layers.Conv2D(2, 2, activation="relu")(x))


def embedding(x):
    ids = keras.ops.cast(keras.ops.abs(x) * 3 % 6, "int32")
    return keras.layers.Flatten()(keras.layers.Embedding(6, 3)(ids))


# Each makes a layer, or is a function of symbolic tensors.
LAYERS = {
    "dense": lambda: keras.layers.Dense(7, activation="tanh"),
    "no bias": lambda: keras.layers.Dense(40, use_bias=False, activation="relu"),
    "gelu": lambda: keras.layers.Dense(5, activation="gelu"),
    "silu": lambda: keras.layers.Dense(5, activation="silu"),
    "positions": lambda: positions,
    "residual": lambda: residual,
    "normalized": keras.layers.LayerNormalization,
    "batch normalized": keras.layers.BatchNormalization,
    "attention": lambda: attention,
    "recurrent": lambda: recurrent,
    "convolution": lambda: convolution,
    "dropout": lambda: keras.layers.Dropout(0.3, seed=4),
    "doubled": Doubled,
    "custom gradient": Cubed,
    "nested": Nested,
    "embedding": lambda: embedding,
    "sequential": lambda: keras.Sequential(
        [keras.layers.Dense(6, activation="elu"), keras.layers.Dense(8)]
    ),
    "einsum": lambda: keras.layers.EinsumDense("ab,bc->ac", output_shape=6),
}


class Case:
    """A model of some layers with T heads, and one batch for it.

    Args:
        trunk: Names of layers.
        tasks: T.
        dtype: Of everything.
        groups: Whether every other task has a layer in common with others of its kind.
    """

    def __init__(self, trunk, tasks, dtype, groups):
        keras.utils.set_random_seed(len(trunk) + tasks)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            inputs = features = keras.Input((4,), dtype=dtype)
            for name in trunk:
                features = LAYERS[name]()(features)
            common = keras.layers.Dense(3, activation="tanh")
            outputs = [
                keras.layers.Dense(1)(common(features) if groups and task % 2 else features)
                for task in range(tasks)
            ]
            self.model = keras.Model(inputs, outputs)
        finally:
            keras.config.set_dtype_policy(before)
        rng = np.random.default_rng(7)
        self.x = rng.normal(size=(BATCH, 4)).astype(dtype)
        self.y = rng.normal(size=(BATCH, tasks)).astype(dtype)

    def updates(self, ways, weighting, known):
        """The Gram matrix and the update, for each way of differentiating; in one forward pass."""
        variables = self.model.trainable_variables
        size = BATCH if known else None
        signature = [tf.TensorSpec([size, *v.shape[1:]], v.dtype) for v in (self.x, self.y)]

        @tf.function(input_signature=signature, autograph=False)
        def step(x, y):
            with tf.GradientTape(persistent=True) as tape:
                outputs = self.model(x, training=True)
                outputs = outputs if isinstance(outputs, list) else [outputs]
                losses = [
                    tf.reduce_mean(tf.square(output - y[:, task : task + 1]))
                    for task, output in enumerate(outputs)
                ]
            results = []
            for way in ways:
                found = way(tape, losses, variables)
                gramian = gram_matrix(found)
                update = combine(found, weighting(gramian, 3))
                results.append(
                    (gramian, [None if g is None else tf.convert_to_tensor(g) for g in update])
                )
            return results

        return step(self.x, self.y)


def flat(update):
    return np.concatenate([np.ravel(g) for g in update if g is not None]).astype(np.float64)


def assert_same(case, weighting, tolerance, known, at_once):
    # Kernels as small as these are otherwise differentiated task by task.
    smallest = 0 if at_once else 10**9
    with mock.patch.object(stacking, "_WORTH_VECTORIZING", smallest):
        (g, one), (h, other) = case.updates([task_gradients, layerwise_gradients], weighting, known)
    assert [v is None for v in one] == [v is None for v in other]
    g, h, one, other = np.array(g), np.array(h), flat(one), flat(other)
    np.testing.assert_allclose(h, g, atol=tolerance * max(np.abs(g).max(), 1e-30))
    error = np.linalg.norm(other - one) / max(np.linalg.norm(one), 1e-30)
    assert error < tolerance, error


CASES = {
    "trunk": st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=4),
    "tasks": st.integers(1, 6),
    "groups": st.booleans(),
    "known": st.booleans(),
    "at_once": st.booleans(),
}
# Each case is traced anew. That it is exact is seen in float64.
SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=8, **SETTINGS)
@given(**CASES)
def test_in_float32(trunk, tasks, groups, known, at_once):
    assert_same(Case(trunk, tasks, "float32", groups), PCGrad("sum", seed=1), 1e-5, known, at_once)


@settings(max_examples=20, **SETTINGS)
@given(**CASES)
def test_in_float64(trunk, tasks, groups, known, at_once):
    assert_same(Case(trunk, tasks, "float64", groups), PCGrad("sum", seed=1), 1e-10, known, at_once)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_every_layer(layer, at_once):
    """With fixed weights, which no rounding of the Gram matrix can hide behind."""

    def weighting(gramian, step):
        return tf.linspace(tf.constant(0.5, gramian.dtype), 2.0, gramian.shape[0])

    assert_same(Case([layer, "dense"], 3, "float64", groups=True), weighting, 1e-10, False, at_once)
