"""Inner products of kernels' gradients from their factors, against the gradients in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pcgrad.layerwise.cost import Kernel, most_rows, saving
from pcgrad.layerwise.products import BiasStack, gradient_by_kernel, stack_products


def factors(rows, inputs, outputs, tasks, dtype, seed=0):
    rng = np.random.default_rng(seed)
    # Like those of a rectifier: all inner products of rows are positive.
    a = np.maximum(rng.normal(size=(rows, inputs)), 0).astype(dtype)
    return a, rng.normal(size=(rows, tasks, outputs)).astype(dtype)


def gradients_of(a, d):
    """[t, in, out], float64."""
    return np.einsum("ni,nto->tio", a.astype(np.float64), d.astype(np.float64))


def stacked(a, d, known, with_bias=False, jit_compile=False):
    """The Gram matrix and the weighted sum, traced with or without a known number of rows.

    With a bias the weighted sum's last row is that of the bias.
    """
    size = a.shape[0] if known else None
    shape = tf.TensorShape([a.shape[1], d.shape[2]])
    weights = np.linspace(-1, 2, d.shape[1])

    @tf.function(
        input_signature=[
            tf.TensorSpec([size, *a.shape[1:]], a.dtype),
            tf.TensorSpec([size, *d.shape[1:]], d.dtype),
        ],
        autograph=False,
        jit_compile=jit_compile,
    )
    def both(rows, output_gradients):
        tasks = tuple(range(d.shape[1]))
        stack = stack_products([rows], [output_gradients], tasks, shape, with_bias)
        gramian, update = stack.gram_matrix(), stack.weighted_sum(tf.constant(weights))
        if with_bias:
            bias = BiasStack(stack)
            gramian += bias.gram_matrix()
            update = tf.concat([update, [bias.weighted_sum(tf.constant(weights))]], axis=0)
        return gramian, update

    gramian, update = both(a, d)
    if with_bias:
        a = np.pad(a, [[0, 0], [0, 1]], constant_values=1)
    g = gradients_of(a, d)
    return (gramian, np.einsum("sio,tio->st", g, g)), (update, np.einsum("t,tio->io", weights, g))


def assert_close(actual, expected, tolerance):
    scale = max(np.abs(expected).max(), 1e-30)
    np.testing.assert_allclose(np.array(actual) / scale, expected / scale, atol=tolerance)


@given(
    rows=st.sampled_from([1, 2, 7, 40]),
    inputs=st.sampled_from([1, 3, 24]),
    outputs=st.sampled_from([1, 5, 16]),
    tasks=st.sampled_from([2, 3, 6]),
    known=st.booleans(),
    double=st.booleans(),
    bias=st.booleans(),
)
def test_they_are_those_of_the_gradients(rows, inputs, outputs, tasks, known, double, bias):
    dtype, tolerance = (np.float64, 1e-12) if double else (np.float32, 2e-6)
    for actual, expected in stacked(*factors(rows, inputs, outputs, tasks, dtype), known, bias):
        assert_close(actual, expected, tolerance)


@pytest.mark.parametrize("known", [True, False])
def test_of_gradients_in_float32_the_products_may_be_in_float64(known):
    """With so many rows they are taken from the gradients themselves."""
    a, d = factors(200, 6, 16, 3, np.float32)
    size = len(a) if known else None

    @tf.function(
        input_signature=[tf.TensorSpec([size, *one.shape[1:]], one.dtype) for one in (a, d)],
        autograph=False,
    )
    def both(rows, output_gradients):
        stack = stack_products([rows], [output_gradients], (0, 1, 2), tf.TensorShape([6, 16]))
        return stack.gram_matrix(tf.float64), [stack.weighted_sum(one) for one in np.eye(3)]

    gramian, gradients = both(a, d)
    g = np.stack(gradients).astype(np.float64)
    assert_close(gramian, np.einsum("sio,tio->st", g, g), 1e-14)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("rows", [6, 200])
def test_under_xla(rows, known):
    """By rows and by gradients."""
    given = factors(rows, 30, 20, 3, np.float32)
    for actual, expected in stacked(*given, known, with_bias=True, jit_compile=True):
        assert_close(actual, expected, 2e-6)


@pytest.mark.parametrize("known", [True, False])
def test_gradients_that_cancel_each_other_are_as_exact(known):
    """A squared norm a million times smaller than that of rows that do not cancel."""
    a, d = factors(64, 80, 4, 3, np.float32)
    a, d = np.repeat(a, 2, axis=0), np.repeat(d, 2, axis=0)
    d[1::2] *= np.float32(-0.999)
    (gramian, expected), _ = stacked(a, d, known)
    assert a.shape[0] > most_rows(80, 4, 3)  # by gradients: as exact as they are
    np.testing.assert_allclose(gramian, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())
    wide, d_wide = factors(16, 400, 50, 3, np.float32)
    wide, d_wide = np.repeat(wide, 2, axis=0), np.repeat(d_wide, 2, axis=0)
    d_wide[1::2] *= np.float32(-0.999)
    assert wide.shape[0] <= most_rows(400, 50, 3)  # by rows
    (gramian, expected), _ = stacked(wide, d_wide, known)
    np.testing.assert_allclose(gramian, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_gradients_by_a_bias_that_cancel_each_other_are_as_exact():
    """The rows are so small that the bias's gradient is nearly all there is."""
    a, d = factors(16, 400, 50, 3, np.float32)
    a, d = np.repeat(a * np.float32(1e-5), 2, axis=0), np.repeat(d, 2, axis=0)
    d[1::2] *= np.float32(-0.999)
    (gramian, expected), _ = stacked(a, d, known=True, with_bias=True)
    np.testing.assert_allclose(gramian, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows(value):
    a, d = factors(4, 20, 6, 2, np.float32)
    d[1, 0, 2] = value
    (gramian, _), (update, _) = stacked(a, d, known=False)
    assert not np.isfinite(gramian[0, 0])
    assert np.isfinite(gramian[1, 1])
    assert not np.isfinite(np.array(update)).all()


def test_half_precision_is_multiplied_in_float32():
    a, d = factors(8, 300, 5, 2, np.float16)
    shape = tf.TensorShape([300, 5])
    stack = stack_products([tf.constant(a)], [tf.constant(d)], (0, 1), shape)
    assert stack.dtype == tf.float32
    g = gradients_of(a, d)
    assert_close(stack.gram_matrix(), np.einsum("sio,tio->st", g, g), 1e-6)
    assert_close(gradient_by_kernel([tf.constant(a)], [tf.constant(d[:, 0])], shape), g[0], 1e-6)


def test_a_kernel_that_is_used_twice():
    one, other = factors(6, 30, 4, 3, np.float32, seed=1), factors(9, 30, 4, 3, np.float32, seed=2)
    shape = tf.TensorShape([5, 6, 4])  # a kernel that is reshaped before its product
    stack = stack_products([one[0], other[0]], [one[1], other[1]], (0, 2, 3), shape)
    g = gradients_of(*one) + gradients_of(*other)
    assert_close(stack.gram_matrix(), np.einsum("sio,tio->st", g, g), 1e-6)
    # Weights of all four tasks; the second one does not reach the kernel.
    update = stack.weighted_sum(tf.constant([1.0, 100.0, -2.0, 0.5]))
    expected = np.einsum("t,tio->io", [1.0, -2.0, 0.5], g).reshape(shape)
    assert_close(update, expected, 1e-6)


def multiplications(rows, inputs, outputs, tasks):
    """By rows and by gradients, each product counted."""
    by_rows = rows**2 * inputs + rows**2 * tasks * outputs + rows * tasks**2 * outputs
    by_gradients = rows * tasks * inputs * outputs + tasks**2 * inputs * outputs
    return by_rows + rows * inputs * outputs, by_gradients


@given(
    inputs=st.integers(1, 3000),
    outputs=st.integers(1, 3000),
    tasks=st.integers(2, 50),
)
def test_the_limit_is_where_both_cost_the_same(inputs, outputs, tasks):
    most = most_rows(inputs, outputs, tasks)
    by_rows, by_gradients = multiplications(most, inputs, outputs, tasks)
    assert by_rows <= by_gradients
    by_rows, by_gradients = multiplications(most + 1, inputs, outputs, tasks)
    assert by_rows >= by_gradients


def test_the_saving_of_wide_layers_and_of_small_ones():
    def kernels(*sizes):
        return [Kernel(i, o, (None,), (1,), in_pieces=False) for i, o in sizes]

    wide = kernels((256, 1024), (1024, 1024), (1024, 768))
    assert saving(wide, 20, 128) > 0.35
    assert saving(wide, 20, 8192) == 0
    assert saving(kernels((64, 32)), 5, 512) == 0
    pieces = Kernel(256, 1024, (None,), (64,), in_pieces=True)
    assert saving([pieces], 5, 16) > 0.05
    unknown = Kernel(256, 1024, (None,), (None,), in_pieces=True)
    assert saving([unknown, *wide], 20, 128) == 0
