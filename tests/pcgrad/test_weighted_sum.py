"""A weighting that needs no Gram matrix: one backward pass of the weighted sum of the losses."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad, equal_weights, weighted_backward
from pcgrad.layerwise import layerwise_backward
from pcgrad.weightings.weighting import needs_gramian

WEIGHTS = [0.5, -2.0, 3.0]


def fixed(gramian, step):
    """Sees how many tasks there are, and the step."""
    return tf.constant(WEIGHTS[: gramian.shape[0]]) * tf.cast(step, tf.float32)


fixed.needs_gramian = False


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [(PCGrad(), True), (lambda gramian, step: 1, True), (equal_weights, False), (fixed, False)],
)
def test_a_weighting_says_whether_it_needs_the_gram_matrix(weighting, expected):
    assert needs_gramian(weighting) == expected


class Problem:
    """Three losses, one of several values; a table with repeated rows, a head, two float types."""

    def __init__(self):
        self.table = tf.Variable(tf.reshape(tf.range(12.0), [4, 3]))
        self.shared = keras.Variable(np.ones(3), dtype="float64")
        self.head = tf.Variable([2.0])
        self.unused = tf.Variable([1.0])
        self.variables = [self.table, self.shared, self.head, self.unused, self.table]

    def losses(self):
        rows = tf.gather(self.table, [1, 3, 1])
        features = tf.cast(rows, tf.float64) * self.shared.value
        return {
            "a": tf.reduce_sum(tf.sin(features)),
            "b": tf.cast(tf.reduce_sum(features, axis=1), tf.float32) * self.head,
            "c": tf.reduce_mean(tf.square(rows)),
        }

    def expected(self):
        with tf.GradientTape() as tape:
            losses = [tf.cast(tf.reduce_sum(loss), tf.float64) for loss in self.losses().values()]
            total = tf.add_n([2 * w * loss for w, loss in zip(WEIGHTS, losses, strict=True)])
        return tape.gradient(total, [getattr(v, "value", v) if isinstance(v, keras.Variable) else v
                                     for v in self.variables])  # fmt: skip


@pytest.mark.parametrize("function", [weighted_backward, layerwise_backward])
@pytest.mark.parametrize("mode", [None, {"autograph": False}, {"jit_compile": True}])
@pytest.mark.parametrize("persistent", [False, True])
def test_the_weighted_sum_is_differentiated(function, mode, persistent):
    problem = Problem()

    def step():
        with tf.GradientTape(persistent=persistent) as tape:
            losses = problem.losses()
        found = function(tape, losses, problem.variables, fixed, step=2)
        assert isinstance(found[0], tf.IndexedSlices)
        assert found[3] is None
        return [None if g is None else tf.convert_to_tensor(g) for g in found]

    with mock.patch("pcgrad.surgery.gram_matrix", side_effect=AssertionError):
        found = (step if mode is None else tf.function(step, **mode))()
    for gradient, wanted, variable in zip(
        found, problem.expected(), problem.variables, strict=True
    ):
        if gradient is not None:
            assert gradient.dtype == variable.dtype
            np.testing.assert_allclose(gradient, tf.convert_to_tensor(wanted), rtol=1e-5)


def test_repeated_rows_are_summed():
    """Some optimizers square each of them, others clip each by itself."""
    problem = Problem()
    with tf.GradientTape() as tape:
        losses = problem.losses()
    table, *_ = weighted_backward(tape, losses, problem.variables, equal_weights)
    assert sorted(table.indices.numpy()) == [1, 3]
