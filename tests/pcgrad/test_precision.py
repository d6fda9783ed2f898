"""Exactness over scales, cosines, sizes and dtypes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from pcgrad import PCGrad, PPCGrad, projection_orders
from problems import LinearTasks, as_arrays, distance
from strategies import ill_conditioned_gradients

SURGERIES = [PCGrad, PPCGrad]
# From one to the next larger number.
SPACING = {tf.float16: 2.0**-10, tf.bfloat16: 2.0**-7, tf.float32: 2.0**-23, tf.float64: 2.0**-52}
DTYPES = list(SPACING)


def rounded(rows: np.ndarray, dtype: tf.DType) -> np.ndarray:
    """The float64 values of what a gradient of this dtype can hold."""
    return tf.cast(tf.cast(rows, dtype), tf.float64).numpy()


def two_rows(cosine: float, size: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(2, size))
    one, two = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    across = two - (two @ one) * one
    across /= np.linalg.norm(across)
    return np.array([one, cosine * one + np.sqrt(1 - cosine**2) * across])


@pytest.mark.parametrize("surgery_class", SURGERIES)
@pytest.mark.parametrize("tasks", [2, 3, 5])
@settings(max_examples=60)
@given(data=st.data())
def test_error_relative_to_the_update_is_small(surgery_class, tasks, data):
    """At most 1e-5 for norms from 1e-15 to 1e15 and cosines down to -0.9999."""
    rows = data.draw(ill_conditioned_gradients(tasks))
    orders = projection_orders(0, 0, tasks).numpy().tolist()
    gradients = [[row] for row in rows]
    update = LinearTasks(gradients).backward(surgery_class("sum", seed=0), step=0)
    assert distance(update, reference.update(gradients, orders, "sum")) <= 1e-5


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=30)
@given(data=st.data())
def test_error_of_several_variables_one_of_them_sparse(surgery_class, data):
    rows = data.draw(ill_conditioned_gradients(2))
    width = 8
    dense, table = np.split(rows, [rows.shape[1] % width + width], axis=1)
    table = table.reshape(2, -1, width)
    if not table.size:
        return
    indices = np.arange(table.shape[1])
    problem = LinearTasks(
        [[d, (indices, t)] for d, t in zip(dense, table, strict=True)],
        shapes=[dense.shape[1:], table.shape[1:]],
    )
    gradients = [list(row) for row in zip(dense, table, strict=True)]
    expected = reference.update(gradients, [[1], [0]], "sum")
    assert distance(problem.backward(surgery_class("sum")), expected) <= 1e-5


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("cosine", [-0.9999, -0.99, -1e-3])
def test_two_equally_large_tasks_at_the_limits(surgery_class, scale, cosine):
    rows = (two_rows(cosine, 1000) * scale).astype(np.float32)
    gradients = [[row] for row in rows]
    update = LinearTasks(gradients).backward(surgery_class("sum"))
    assert distance(update, reference.update(gradients, [[1], [0]], "sum")) <= 1e-5


@pytest.mark.parametrize("size", [2, 4095, 4096, 4097, 8191, 300_000])
def test_sizes_around_and_far_above_the_accumulation_chunk(surgery_class, size):
    """A float32 sum over all elements would be off: they share an offset."""
    rng = np.random.default_rng(size)
    common = 1 + 0.01 * rng.normal(size=size)
    rows = np.array([common, 0.03 * rng.normal(size=size) - common]).astype(np.float32)
    gradients = [[row] for row in rows]
    update = LinearTasks(gradients).backward(surgery_class("sum"))
    assert distance(update, reference.update(gradients, [[1], [0]], "sum")) <= 1e-5


@pytest.mark.parametrize("size", [600, 2049, 20_011])
def test_equal_elements_which_all_round_alike(surgery_class, size):
    """In float32 the errors add up, and the projection magnifies them seventyfold."""
    across = np.random.default_rng(size).normal(size=size)
    across -= across.mean()
    across *= np.sqrt(1 - 0.9999**2) / np.sqrt((across**2).mean())
    for value in np.geomspace(0.1, 10, 9):
        rows = (value * np.array([np.ones(size), across - 0.9999])).astype(np.float32)
        gradients = [[row] for row in rows]
        update = LinearTasks(gradients).backward(surgery_class("sum"))
        assert distance(update, reference.update(gradients, [[1], [0]], "sum")) <= 1e-5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_every_dtype_is_as_exact_as_it_can_hold(surgery_class, dtype, scale):
    """Norms of float16 gradients exceed float16's range: products must not be taken in it."""
    rows = two_rows(-0.9, 4000) * scale
    gradients = [[row] for row in rounded(rows, dtype)]
    problem = LinearTasks(gradients, dtypes=dtype)
    update = problem.backward(surgery_class("sum"))
    assert update[0].dtype == dtype
    expected = reference.update(gradients, [[1], [0]], "sum")
    tolerance = 1e-12 if dtype == tf.float64 else max(1e-5, SPACING[dtype])
    assert distance(update, expected) <= tolerance


def test_models_with_variables_of_all_dtypes(surgery_class):
    rng = np.random.default_rng(3)
    sizes = [5, 7, 3, 9]
    gradients = [
        [rounded(rng.normal(size=size), dtype) for size, dtype in zip(sizes, DTYPES, strict=True)]
        for _ in range(3)
    ]
    for row in gradients[1:]:
        row[3] = -2 * gradients[0][3] + 0.1 * row[3]
    orders = projection_orders(4, 2, 3).numpy().tolist()
    update = LinearTasks(gradients, dtypes=DTYPES).backward(surgery_class("sum", seed=4), step=2)
    assert [g.dtype for g in update] == DTYPES
    expected = reference.update(gradients, orders, "sum")
    for actual, wanted, dtype in zip(as_arrays(update), expected, DTYPES, strict=True):
        tolerance = max(1e-5, SPACING[dtype])
        np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance)


def test_the_scalar_work_is_done_in_float64(surgery_class):
    """In float32 the two norms below are equal."""
    norm = 1.0 + 1e-10
    weights = surgery_class("sum")(tf.constant([[1.0, -1.0], [-1.0, norm]], tf.float64), 0)
    assert weights.dtype == tf.float64
    np.testing.assert_allclose(weights, [2.0, 1 + 1 / norm], rtol=1e-14)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
def test_keras_names_dtypes_by_strings(surgery_class, name):
    variable = keras.Variable(np.ones(3), dtype=name)
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(variable * 1.0), tf.reduce_sum(variable * -2.0)]
    update = surgery_class().pc_backward(tape, losses, [variable])
    assert update[0].dtype == tf.as_dtype(name)
