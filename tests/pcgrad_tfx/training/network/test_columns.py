"""A row's columns as one tensor."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pcgrad_tfx.training.network.columns import PackedEmbedding, PiecewiseLinear, StackedColumns
from pcgrad_tfx.training.network.intervals import boundaries

FLOATS = st.floats(-1e6, 1e6, width=32)


def test_columns_are_stacked_in_their_order():
    inputs = {"b": tf.constant([[3.0], [4.0]]), "a": tf.constant([1.0, 2.0])}
    np.testing.assert_array_equal(StackedColumns(["a", "b"])(inputs), [[1, 3], [2, 4]])


def test_a_packed_table_is_an_embedding_for_each_column():
    sizes = (3, 1, 4)
    packed = PackedEmbedding(sizes, 2)
    ids = tf.constant([[0, 0, 3], [2, 0, 0], [1, 0, 2]], tf.int64)
    found = packed(ids)
    (table,) = packed.get_weights()
    single = []
    for column, start in enumerate([0, 3, 4]):
        layer = keras.layers.Embedding(sizes[column], 2)
        layer.build(None)
        layer.set_weights([table[start : start + sizes[column]]])
        single.append(layer(ids[:, column]))
    np.testing.assert_array_equal(found, np.concatenate(single, axis=1))


@pytest.mark.parametrize("wrong", [[3, 0], [0, 2], [-1, 0]])
def test_an_id_that_its_column_does_not_have_is_an_error(wrong):
    """Also where the id would be one of the next column."""
    packed = PackedEmbedding((3, 2), 2)
    packed(tf.constant([[2, 1]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        packed(tf.constant([wrong]))


def position(value, low, high):
    return min(max((value - low) / (high - low), 0.0), 1.0)


@given(
    st.lists(
        st.lists(st.integers(-50, 50), min_size=1, max_size=5, unique=True), min_size=1, max_size=4
    ),
    st.data(),
)
def test_positions_are_those_of_the_paper_within_the_outer_intervals(limits, data):
    limits = [sorted(map(float, column)) for column in limits]
    row = data.draw(st.lists(FLOATS, min_size=len(limits), max_size=len(limits)))
    wanted = [
        position(value, low, high)
        for value, column in zip(row, limits, strict=True)
        if len(column) > 2
        for low, high in itertools.pairwise(column)
    ]
    layer = PiecewiseLinear(limits)
    assert layer.units == len(wanted)
    found = layer(tf.constant([row], tf.float32))
    assert found.shape == (1, len(wanted))
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_intervals_have_about_equally_many_rows():
    rng = np.random.default_rng(1)
    values = rng.lognormal(size=4000).astype(np.float32)
    flags = rng.integers(2, size=4000).astype(np.float32)
    batches = [
        ({"a": values[i : i + 500], "flag": flags[i : i + 500]}, {}) for i in range(0, 4000, 500)
    ]
    found = boundaries(batches, ["a", "flag"], 8)
    counts, _ = np.histogram(values, found["a"])
    np.testing.assert_allclose(counts, 500, atol=2)
    assert found["flag"] == [0, 1]
    assert boundaries(batches, ["a"], 0) == {}
    assert boundaries(batches, [], 8) == {}


def test_of_many_rows_a_sample_is_read():
    read = []

    def batches():
        for number in range(10):
            read.append(number)
            yield {"a": np.arange(8000.0)}, {}

    boundaries(batches(), ["a"], 4)
    assert read == [0, 1, 2]


@pytest.mark.parametrize(
    "layer",
    [
        StackedColumns(["a", "b"], name="s"),
        PackedEmbedding((3, 4), 2, name="e"),
        PiecewiseLinear([[0.0, 1.0, 2.5], []], name="p"),
    ],
)
def test_layers_are_saved_with_their_arguments(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
