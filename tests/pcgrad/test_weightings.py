"""The seam: task gradients → Gram matrix → weights → combined gradient."""

import numpy as np
import pytest
import tensorflow as tf

import reference
from pcgrad import (
    PCGrad,
    combine,
    cosines,
    equal_weights,
    gram_matrix,
    task_gradients,
    weighted_backward,
)
from problems import LinearTasks, as_arrays

GRADIENTS = [
    [np.array([1.0, 2.0]), np.array([3.0]), None],
    [np.array([-1.0, 1.0]), None, np.array([7.0, 1.0])],
    [None, np.array([2.0]), None],
]
GRAMIAN = np.array([[14.0, 1.0, 6.0], [1.0, 2.0, 0.0], [6.0, 0.0, 4.0]])


def smallest_norm(gramian: tf.Tensor, step: tf.Tensor | int | None) -> tf.Tensor:
    """A weighting of a user's own: inversely proportional to the gradients' norms."""
    del step
    return 1 / tf.sqrt(tf.linalg.diag_part(gramian))


def test_the_gram_matrix_is_over_shared_variables():
    problem = LinearTasks(GRADIENTS)
    gradients = task_gradients(*problem.tape(), problem.variables)
    gramian = gram_matrix(gradients)
    assert gramian.dtype == tf.float64
    np.testing.assert_array_equal(gramian, GRAMIAN)


def test_which_task_reaches_which_variable():
    problem = LinearTasks(GRADIENTS)
    gradients = task_gradients(*problem.tape(), problem.variables)
    assert sorted(gradients.shared) == [0, 1]
    assert [sorted(gradients.of_variable(index)) for index in range(3)] == [[0, 1], [0, 2], [1]]
    assert gradients.gradients[2][0] is None
    np.testing.assert_array_equal(gradients.gradients[1][2], [7.0, 1.0])


def test_a_users_own_weighting():
    problem = LinearTasks(GRADIENTS)
    seen = {}

    def weighting(gramian: tf.Tensor, step: tf.Tensor | int | None) -> tf.Tensor:
        seen.update(gramian=gramian, step=step)
        return smallest_norm(gramian, step)

    update = weighted_backward(*problem.tape(), problem.variables, weighting, step=41)
    assert seen["step"] == 41
    np.testing.assert_array_equal(seen["gramian"], GRAMIAN)
    weights = 1 / np.sqrt(np.diag(GRAMIAN))
    np.testing.assert_allclose(
        update[0], weights[0] * GRADIENTS[0][0] + weights[1] * GRADIENTS[1][0], rtol=1e-6
    )
    np.testing.assert_allclose(
        update[1], weights[0] * GRADIENTS[0][1] + weights[2] * GRADIENTS[2][1], rtol=1e-6
    )
    np.testing.assert_array_equal(update[2], GRADIENTS[1][2])


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_a_users_own_weighting_in_a_graph(compiled):
    problem = LinearTasks(GRADIENTS)
    expected = weighted_backward(*problem.tape(), problem.variables, smallest_norm)

    @tf.function(jit_compile=compiled)
    def traced():
        return weighted_backward(*problem.tape(), problem.variables, smallest_norm)

    for actual, wanted in zip(traced(), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.float32, tf.float64])
def test_weights_of_any_floating_dtype(dtype):
    problem = LinearTasks(GRADIENTS)
    weights = tf.constant([2.0, 0.5, -1.0], dtype)
    update = weighted_backward(*problem.tape(), problem.variables, lambda gramian, step: weights)
    np.testing.assert_array_equal(update[0], [1.5, 4.5])
    np.testing.assert_array_equal(update[1], [4.0])
    assert {gradient.dtype for gradient in update} == {tf.float32}


def test_the_parts_make_the_whole(surgery_class):
    problem = LinearTasks(GRADIENTS)
    surgery = surgery_class(seed=0)
    gradients = task_gradients(*problem.tape(), problem.variables)
    parts = combine(gradients, surgery(gram_matrix(gradients), 3))
    whole = problem.backward(surgery, step=3)
    by_hand = weighted_backward(*problem.tape(), problem.variables, surgery, step=3)
    for one, other, third in zip(parts, whole, by_hand, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_a_surgery_is_a_weighting(surgery_class, dtype):
    vectors = np.array([[1.0, 0.0], [-1.0, 1.0]])
    weights = surgery_class("sum")(tf.constant(vectors @ vectors.T, dtype))
    assert weights.dtype == tf.float64
    np.testing.assert_allclose(weights, [2.0, 1.5], rtol=1e-12)
    expected = reference.projected(vectors, [[1], [0]]).sum(axis=0)
    np.testing.assert_allclose(weights.numpy() @ vectors, expected, rtol=1e-12)


def test_no_conflict_means_weights_of_exactly_one(surgery_class):
    gramian = tf.constant([[3.0, 0.0, 1.0], [0.0, 2.0, 0.5], [1.0, 0.5, 7.0]], tf.float64)
    np.testing.assert_array_equal(surgery_class("sum")(gramian), [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(surgery_class("mean")(gramian), np.full(3, 1 / 3))
    np.testing.assert_array_equal(equal_weights(gramian), [1.0, 1.0, 1.0])


def test_cosines():
    cosine = cosines(tf.constant(GRAMIAN))
    norms = np.sqrt(np.diag(GRAMIAN))
    np.testing.assert_allclose(cosine, GRAMIAN / np.outer(norms, norms), rtol=1e-14)


def test_the_cosine_with_a_zero_gradient_is_undefined():
    cosine = cosines(tf.constant([[4.0, 0.0, -2.0], [0.0, 0.0, 0.0], [-2.0, 0.0, 4.0]]))
    undefined = np.array([[False, True, False], [True, True, True], [False, True, False]])
    np.testing.assert_array_equal(np.isnan(cosine), undefined)
    np.testing.assert_allclose(cosine[0, 2], -0.5)


def test_tasks_that_share_nothing_have_a_gram_matrix_of_zeros(surgery_class):
    problem = LinearTasks([[np.array([1.0]), None], [None, np.array([2.0])]])
    gradients = task_gradients(*problem.tape(), problem.variables)
    np.testing.assert_array_equal(gram_matrix(gradients), np.zeros((2, 2)))
    update = as_arrays(problem.backward(surgery_class("mean")))
    np.testing.assert_array_equal(update[0], [1.0])
    np.testing.assert_array_equal(update[1], [2.0])


def test_surgery_classes_share_their_interface(surgery_class):
    public = {name for name in dir(PCGrad) if not name.startswith("_")}
    assert {"pack_grad", "project_conflicting", "unpack_grad", "pc_backward"} <= public
    assert {name for name in dir(surgery_class) if not name.startswith("_")} == public
