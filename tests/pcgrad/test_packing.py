"""`pack_grad`, `project_conflicting` and `unpack_grad` give what `pc_backward` gives."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

from pcgrad import PCGrad, PPCGrad
from problems import LinearTasks, as_arrays, assert_update
from strategies import REDUCTIONS, partial_gradients, some_tasks

SURGERIES = [PCGrad, PPCGrad]
GRADIENTS = [
    [np.array([[1.0, 2.0], [3.0, 4.0]]), None, None, np.array(5.0)],
    [np.array([[-1.0, -2.0], [0.0, 1.0]]), np.array([6.0, 7.0]), None, None],
]
MASK_DTYPES = [tf.bool, tf.int8, tf.int32, tf.int64, tf.float16, tf.float32, tf.float64]


def test_gradients_are_laid_out_in_the_order_of_the_variables(surgery_class):
    problem = LinearTasks(GRADIENTS)
    grads, shapes, masks = surgery_class().pack_grad(*problem.tape(), problem.variables)
    np.testing.assert_array_equal(grads[0], [1, 2, 3, 4, 0, 0, 0, 0, 5])
    np.testing.assert_array_equal(grads[1], [-1, -2, 0, 1, 6, 7, 0, 0, 0])
    np.testing.assert_array_equal(masks[0], [1, 1, 1, 1, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(masks[1], [1, 1, 1, 1, 1, 1, 0, 0, 0])
    assert [tuple(shape) for shape in shapes] == [(2, 2), (2,), (2,), ()]
    assert len(grads) == len(masks) == 2


def test_unpacking_is_the_inverse_of_packing(surgery_class):
    problem = LinearTasks(GRADIENTS)
    surgery = surgery_class()
    grads, shapes, _ = surgery.pack_grad(*problem.tape(), problem.variables)
    for packed, row in zip(grads, GRADIENTS, strict=True):
        unpacked = surgery.unpack_grad(packed, shapes)
        for actual, wanted, shape in zip(unpacked, row, shapes, strict=True):
            np.testing.assert_array_equal(actual, np.zeros(shape) if wanted is None else wanted)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=60)
@given(gradients=some_tasks(1, 2, 3, 6).flatmap(partial_gradients), reduction=REDUCTIONS)
def test_the_three_steps_equal_pc_backward(surgery_class, gradients, reduction):
    """An unreached variable has zeros, because a flat vector cannot hold `None`."""
    problem = LinearTasks(gradients)
    surgery = surgery_class(reduction, seed=1)
    grads, shapes, masks = surgery.pack_grad(*problem.tape(), problem.variables)
    merged = surgery.project_conflicting(grads, masks, step=6)
    update = surgery.unpack_grad(merged, shapes)
    expected = [
        np.zeros(shape) if gradient is None else gradient
        for gradient, shape in zip(
            as_arrays(problem.backward(surgery, step=6)), shapes, strict=True
        )
    ]
    assert_update(update, expected, gradients, tolerance=1e-6)


@pytest.mark.parametrize("dtype", MASK_DTYPES)
def test_masks_of_any_dtype(surgery_class, dtype):
    problem = LinearTasks(GRADIENTS)
    surgery = surgery_class(seed=0)
    grads, _, masks = surgery.pack_grad(*problem.tape(), problem.variables)
    expected = surgery.project_conflicting(grads, masks, step=0)
    converted = [tf.cast(mask, dtype) for mask in masks]
    merged = surgery.project_conflicting(grads, converted, step=0)
    assert merged.dtype == grads[0].dtype
    np.testing.assert_array_equal(merged, expected)


@pytest.mark.parametrize("traced", [False, True])
def test_one_tensor_for_all_tasks(surgery_class, traced):
    problem = LinearTasks(GRADIENTS)
    surgery = surgery_class(seed=0)
    grads, _, masks = surgery.pack_grad(*problem.tape(), problem.variables)
    expected = surgery.project_conflicting(grads, masks, step=0)

    def project(stacked: tf.Tensor, stacked_masks: tf.Tensor) -> tf.Tensor:
        return surgery.project_conflicting(stacked, stacked_masks, step=0)

    function = tf.function(project) if traced else project
    np.testing.assert_array_equal(function(tf.stack(grads), tf.stack(masks)), expected)


def test_numpy_arrays(surgery_class):
    grads = [np.array([1.0, 0.0]), np.array([-1.0, 1.0])]
    masks = [np.array([1, 1]), np.array([True, True])]
    merged = surgery_class("sum").project_conflicting(grads, masks)
    np.testing.assert_allclose(merged, [0.5, 1.5], rtol=1e-12)


def test_what_a_mask_hides_does_not_count(surgery_class):
    grads = [tf.constant([1.0, 9.0]), tf.constant([-1.0, 3.0])]
    masks = [tf.constant([1, 0]), tf.constant([1, 1])]
    merged = surgery_class("sum").project_conflicting(grads, masks)
    np.testing.assert_allclose(merged, [0.0, 3.0], atol=1e-7)


def test_the_number_of_elements_may_be_unknown_while_tracing(surgery_class):
    surgery = surgery_class("sum", seed=0)
    vector = tf.TensorSpec([None], tf.float32)

    @tf.function(input_signature=[vector, vector])
    def merge(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        masks = [tf.ones_like(one), tf.ones_like(other)]
        return surgery.project_conflicting([one, other], masks, step=0)

    for size in (2, 5000):
        one, other = np.eye(size, dtype=np.float32)[0], np.eye(size, dtype=np.float32)[1]
        np.testing.assert_allclose(merge(one, other - one), 0.5 * one + 1.5 * other, atol=1e-6)


@pytest.mark.parametrize(
    ("dtypes", "widest"),
    [
        ([tf.float16, tf.float16], tf.float16),
        ([tf.bfloat16, tf.bfloat16], tf.bfloat16),
        ([tf.float16, tf.bfloat16], tf.float32),
        ([tf.float16, tf.float32], tf.float32),
        ([tf.float32, tf.float64], tf.float64),
    ],
)
def test_mixed_dtypes_pack_in_the_widest(surgery_class, dtypes, widest):
    gradients = [[np.array([1.0]), np.array([2.0])], [np.array([-1.0]), np.array([3.0])]]
    problem = LinearTasks(gradients, dtypes=dtypes)
    surgery = surgery_class()
    grads, shapes, masks = surgery.pack_grad(*problem.tape(), problem.variables)
    assert {tensor.dtype for tensor in [*grads, *masks]} == {widest}
    np.testing.assert_array_equal(tf.cast(grads[1], tf.float32), [-1.0, 3.0])
    merged = surgery.project_conflicting(grads, masks)
    assert merged.dtype == widest
    assert {tensor.dtype for tensor in surgery.unpack_grad(merged, shapes)} == {widest}


def test_sparse_gradients_pack_with_repeated_rows_summed(surgery_class):
    lookup = (np.array([2, 0, 2]), np.array([[1.0], [2.0], [4.0]]))
    problem = LinearTasks([[lookup], [lookup]], shapes=[(3, 1)])
    grads, _, masks = surgery_class().pack_grad(*problem.tape(), problem.variables)
    np.testing.assert_array_equal(grads[0], [2, 0, 5])
    np.testing.assert_array_equal(masks[0], [1, 1, 1])
