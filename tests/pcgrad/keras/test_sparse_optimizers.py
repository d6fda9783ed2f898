"""What the README says of Keras's optimizers: which of them keep a sparse gradient sparse."""

import keras
import pytest
import tensorflow as tf

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
