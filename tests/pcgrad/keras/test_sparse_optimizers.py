"""Sparse gradients in Keras's optimizers: which keep them sparse, and what is clipped."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import assert_same
from pcgrad.keras import MultiTaskModel
from pcgrad.keras.optimizers import adds_up_rows

ROWS = 997  # a prime, so that a shape in the graph tells what it belongs to


def operations_on_the_table(optimizer: keras.optimizers.Optimizer) -> set[str]:
    """The kinds of operations that make something as large as the table."""
    table = keras.Variable(tf.ones([ROWS, 4]))
    optimizer.build([table])

    @tf.function
    def apply(values: tf.Tensor, rows: tf.Tensor) -> None:
        optimizer.apply([tf.IndexedSlices(values, rows, tf.constant([ROWS, 4], tf.int64))], [table])

    graph = apply.get_concrete_function(
        tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)
    ).graph
    return {
        operation.type
        for operation in graph.get_operations()
        for output in operation.outputs
        if output.shape.rank == 2 and output.shape[0] == ROWS
    } - {"ReadVariableOp"}


def test_sgd_works_on_the_rows_touched():
    assert not operations_on_the_table(keras.optimizers.SGD())


@pytest.mark.parametrize("name", ["Adagrad", "RMSprop", "Adadelta"])
def test_some_compute_over_the_whole_table(name):
    assert operations_on_the_table(getattr(keras.optimizers, name)())


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adamax", "Nadam", "Ftrl", "Lion", "Lamb"])
def test_the_others_make_the_gradient_dense(name):
    assert "UnsortedSegmentSum" in operations_on_the_table(getattr(keras.optimizers, name)())


@keras.saving.register_keras_serializable(package="tests")
class DenseLookup(keras.layers.Embedding):
    """The same rows, with a dense gradient."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.one_hot(inputs, self.input_dim) @ self.embeddings


def two_steps(cls, lookup, optimizer) -> list[np.ndarray]:
    keras.utils.set_random_seed(1)
    ids = keras.Input((4,), dtype="int64")
    shared = keras.layers.Flatten()(lookup(6, 3)(ids))
    model = cls(ids, {task: keras.layers.Dense(1, name=task)(shared) for task in "ab"})
    model.compile(optimizer, "mse", run_eagerly=True)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 6, (16, 4))
    y = {task: rng.normal(size=(16, 1)).astype(np.float32) for task in "ab"}
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize(
    "clipping", [{"clipnorm": 0.05}, {"global_clipnorm": 0.05}, {"clipvalue": 0.01}]
)
def test_clipping_looks_at_the_gradient_with_repeated_rows_summed(clipping):
    """`keras.Model` clips before it sums them."""
    assert_rows_are_summed_first(lambda: keras.optimizers.SGD(0.5, **clipping))


@pytest.mark.parametrize("name", ["Adagrad", "RMSprop", "Adadelta"])
def test_squares_are_of_the_gradient_with_repeated_rows_summed(name):
    """`keras.Model` squares before it sums them."""
    assert_rows_are_summed_first(lambda: getattr(keras.optimizers, name)(0.5))


def assert_rows_are_summed_first(optimizer):
    wanted = two_steps(keras.Model, DenseLookup, optimizer())
    ours = two_steps(MultiTaskModel, keras.layers.Embedding, optimizer())
    assert_same(ours, wanted, tolerance=1e-5)
    theirs = two_steps(keras.Model, keras.layers.Embedding, optimizer())
    assert max(np.abs(a - b).max() for a, b in zip(theirs, wanted, strict=True)) > 1e-4


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_plain_sgd_adds_them_up_itself(momentum):
    optimizers = [keras.optimizers.SGD(0.5, momentum=momentum) for _ in range(3)]
    assert all(map(adds_up_rows, optimizers))
    assert not adds_up_rows(keras.optimizers.SGD(clipnorm=1.0))
    wanted = two_steps(keras.Model, DenseLookup, optimizers[0])
    ours = two_steps(MultiTaskModel, keras.layers.Embedding, optimizers[1])
    assert_same(ours, wanted, tolerance=1e-5)
    theirs = two_steps(keras.Model, keras.layers.Embedding, optimizers[2])
    assert_same(ours, theirs, tolerance=1e-5)
