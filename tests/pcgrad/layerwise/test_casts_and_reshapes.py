"""Whatever casts and reshapes stand between a variable and its layer: always the tape's update."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcgrad.layerwise import backward as backward_module
from pcgrad.layerwise import stacking
from pcgrad.layerwise.backward import backward
from pcgrad.layerwise.choice import Choice
from small_graphs import route

ROWS, WIDTH, OUT, TASKS = 12, 8, 6, 3
# The number of looked-up rows up to which `auto` goes layer by layer, and some on both sides.
LIMIT, FEW, MANY = 4, 3, 9
TOLERANCE = {tf.float16: 2e-2, tf.bfloat16: 1e-1, tf.float32: 1e-5, tf.float64: 1e-5}

# By variable: shapes it may have on the way; the last step gives it the shape that its layer needs.
SHAPES = {
    "table": [(ROWS, WIDTH), (-1, WIDTH), (ROWS // 2, 2 * WIDTH), (ROWS, 2, WIDTH // 2), (-1,)],
    "kernel": [(WIDTH, OUT), (-1, OUT), (2, WIDTH // 2, OUT), (OUT, WIDTH), (-1,)],
    "bias": [(OUT,), (-1,), (1, OUT), (2, OUT // 2)],
    "features": [(-1, WIDTH), (-1, 2, WIDTH // 2), (-1, 1, WIDTH)],
}
HALF = [tf.float16, tf.bfloat16]


def steps(what: str) -> st.SearchStrategy[list]:
    """Casts and reshapes of a variable or of the features, in any order."""
    one = st.one_of(st.sampled_from(SHAPES[what]), st.sampled_from([*HALF, tf.float32, tf.float64]))
    return st.lists(one, max_size=3)


def through(value: tf.Tensor, made: list, shape: tuple[int, ...], dtype: tf.DType) -> tf.Tensor:
    """Casts and reshapes, and then what the layer needs, where it is not so yet."""
    for one in made:
        value = tf.reshape(value, one) if isinstance(one, tuple) else tf.cast(value, one)
    value = value if value.dtype == dtype else tf.cast(value, dtype)
    return value if value.shape.as_list() == list(shape) else tf.reshape(value, shape)


def forms(update):
    return ["none" if g is None else type(g).__name__ for g in update]


def updates(way, operands, dtype, known, by_read):
    """What a way gives for few rows and for many; its forms; its description.

    Args:
        way: How the Gram matrix is taken.
        operands: Casts and reshapes by operand.
        dtype: Of the layer.
        known: Whether the number of rows is known while tracing.
        by_read: Whether the table is read whole before its lookup.
    """
    rng = np.random.default_rng(0)
    table, kernel, bias = (
        tf.Variable(rng.normal(size=shape) / 2, dtype=tf.float32, name=name)
        for name, shape in [("table", (ROWS, WIDTH)), ("kernel", (WIDTH, OUT)), ("bias", (OUT,))]
    )
    heads = tf.constant(rng.normal(size=(OUT, TASKS)), tf.float32)
    told = []

    def step(ids):
        with tf.GradientTape(persistent=True) as tape:
            if by_read:
                whole = through(tf.identity(table), operands["table"], (ROWS, WIDTH), dtype)
                features = tf.gather(whole, ids)
            else:
                features = tf.nn.embedding_lookup(table, ids)
            features = through(features, operands["features"], (-1, WIDTH), dtype)
            k = through(tf.identity(kernel), operands["kernel"], (WIDTH, OUT), dtype)
            b = through(tf.identity(bias), operands["bias"], (OUT,), dtype)
            outputs = tf.cast(tf.tanh(tf.matmul(features, k) + b), tf.float32)
            losses = tf.unstack(tf.reduce_mean(tf.matmul(outputs, heads) ** 2, axis=0), num=TASKS)
        choice = Choice(LIMIT, None if known else tf.shape(ids)[0])
        with mock.patch.object(backward_module, "choose", return_value=choice):
            made = backward(tape, losses, [table, kernel, bias], fixed, 0, way)
        told.append((forms(made.update), made.description))
        return made.gramian, [tf.convert_to_tensor(g) for g in made.update]

    signature = [tf.TensorSpec([FEW if known else None], tf.int64)]
    traced = tf.function(step, input_signature=signature, autograph=False)
    counts = (FEW,) if known else (FEW, MANY)
    found = [traced(tf.constant(rng.integers(0, ROWS, count))) for count in counts]
    return found, *told[0]


def fixed(gramian, step):
    """Weights that no rounding of the Gram matrix can change."""
    return tf.linspace(tf.constant(0.5, tf.float64), 2.0, TASKS)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    operands=st.fixed_dictionaries({what: steps(what) for what in SHAPES}),
    dtype=st.sampled_from(list(TOLERANCE)),
    known=st.booleans(),
    by_read=st.booleans(),
    at_once=st.booleans(),
    way=st.sampled_from(["layerwise", "auto"]),
)
def test_any_of_them(operands, dtype, known, by_read, at_once, way):
    dtypes = {dtype, *(one for made in operands.values() for one in made if one in TOLERANCE)}
    tolerance = max(TOLERANCE[one] for one in dtypes)
    with mock.patch.object(stacking, "_WORTH_VECTORIZING", 0 if at_once else 10**9):
        expected, form, _ = updates("tape", operands, dtype, known, by_read)
        found, same, _ = updates(way, operands, dtype, known, by_read)
    assert same == form
    for (g, one), (h, other) in zip(expected, found, strict=True):
        np.testing.assert_allclose(h, g, atol=tolerance * np.abs(g).max())
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(b, a, atol=tolerance * np.abs(a).max())


@pytest.mark.parametrize("dtype", [tf.float16, tf.float32])
@pytest.mark.parametrize("known", [True, False])
def test_a_table_that_is_reshaped_before_its_lookup(dtype, known):
    """To its own shape: the tape's gradients are dense then, and so are those of every way."""
    operands = {"table": [(-1, WIDTH), (ROWS, WIDTH)], "features": [], "kernel": [], "bias": []}
    for way in ("tape", "layerwise", "auto"):
        _, form, told = updates(way, operands, dtype, known, by_read=True)
        assert "IndexedSlices" not in form
        if way != "tape":
            assert route(told, "table") == "tape (a lookup with dense gradients)"
    _, form, told = updates("layerwise", {**operands, "table": []}, dtype, known, by_read=True)
    assert form[0] == "IndexedSlices"
    assert route(told, "table") == "lookup"


@pytest.mark.parametrize("way", ["layerwise", "auto"])
def test_what_is_still_recognised(way):
    """A kernel that is cast and reshaped, and a bias that is cast."""
    operands = {"table": [], "features": [tf.float16], "kernel": [tf.float16], "bias": []}
    operands["kernel"] += [(2, WIDTH // 2, OUT), (WIDTH, OUT)]
    _, _, told = updates(way, operands, tf.float16, False, False)
    assert route(told, "kernel").startswith("product")
    assert route(told, "bias") == "with kernel:0"
