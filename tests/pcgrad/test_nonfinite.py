"""A NaN or an infinity in a shared gradient is seen in the whole shared update."""

import numpy as np
import pytest
import tensorflow as tf

import reference
from pcgrad import projection_orders
from problems import LinearTasks, as_arrays, assert_update

MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": lambda function: tf.function(function, jit_compile=True),
}
BAD = [np.nan, np.inf, -np.inf]
ROWS = 5


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest):
    return MODES[request.param]


@pytest.mark.parametrize("bad", BAD)
def test_in_a_dense_gradient(surgery_class, mode, bad):
    """Also where the bad task would be projected, is orthogonal, or does not reach."""
    gradients = [
        [np.array([1.0, 2.0]), np.array([1.0, -1.0, 0.0])],
        [np.array([bad, 0.0]), None],
        [np.array([-1.0, -2.0]), np.array([0.0, 1.0, 0.0])],
    ]
    problem = LinearTasks(gradients)
    surgery = surgery_class("sum", seed=0)
    update = mode(lambda: problem.backward(surgery, step=0))()
    for gradient in update:
        assert not np.isfinite(gradient).any()


@pytest.mark.parametrize("bad", BAD)
def test_in_a_sparse_gradient(surgery_class, mode, bad):
    rows = [np.array([[1.0], [2.0]]), np.array([[bad]]), np.array([[-1.0]])]
    indices = [np.array([0, 3]), np.array([1]), np.array([0])]
    dense = [np.array([1.0]), np.array([1.0]), np.array([1.0])]
    problem = LinearTasks(
        [[(i, r), d] for i, r, d in zip(indices, rows, dense, strict=True)],
        shapes=[(ROWS, 1), (1,)],
    )
    surgery = surgery_class("sum", seed=0)
    table, vector = mode(lambda: problem.backward(surgery, step=0))()
    assert sorted(table.indices.numpy().tolist()) == [0, 1, 3]
    assert not np.isfinite(table.values).any()
    assert not np.isfinite(vector).any()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("projection", ["sequential", "simultaneous"])
def test_whichever_task_has_it_and_whatever_the_projection(surgery_class, projection, bad):
    for bad_task in range(3):
        gradients = [[np.array([float(task + 1), -1.0])] for task in range(3)]
        gradients[bad_task][0][0] = bad
        for reduction in ("sum", "mean"):
            surgery = surgery_class(reduction, projection=projection, seed=0)
            update = LinearTasks(gradients).backward(surgery)
            assert not np.isfinite(update[0]).any()


def test_in_packed_gradients(surgery_class):
    grads = [tf.constant([1.0, np.nan, 3.0]), tf.constant([1.0, 1.0, 0.0])]
    masks = [tf.constant([True, True, True]), tf.constant([True, True, False])]
    merged = surgery_class().project_conflicting(grads, masks)
    np.testing.assert_array_equal(merged, [np.nan, np.nan, 3.0])


@pytest.mark.parametrize("bad", BAD)
def test_in_a_task_specific_gradient_it_stays_there(surgery_class, mode, bad):
    gradients = [
        [np.array([1.0, 0.0]), np.array([bad, 2.0])],
        [np.array([-1.0, 1.0]), None],
    ]
    problem = LinearTasks(gradients)
    surgery = surgery_class("sum", seed=0)
    update = mode(lambda: problem.backward(surgery, step=0))()
    np.testing.assert_allclose(update[0], [0.5, 1.5], rtol=1e-6)
    np.testing.assert_array_equal(update[1], [bad, 2.0])


def test_the_next_step_is_not_affected(surgery_class):
    surgery = surgery_class("sum", seed=0)
    good = [[np.array([1.0, 0.0])], [np.array([-1.0, 1.0])]]
    bad = [[np.array([np.nan, 0.0])], [np.array([-1.0, 1.0])]]
    assert not np.isfinite(as_arrays(LinearTasks(bad).backward(surgery))[0]).any()
    expected = reference.update(good, [[1], [0]])
    assert_update(LinearTasks(good).backward(surgery), expected, good)


def test_large_finite_gradients_are_not_taken_for_infinite(surgery_class):
    gradients = [[np.full(100, 1e14)], [np.full(100, -1e14) + np.eye(100)[0] * 2e15]]
    update = LinearTasks(gradients).backward(surgery_class("sum"))
    assert_update(update, reference.update(gradients, [[1], [0]]), gradients)


@pytest.mark.parametrize("task", [0, 1, 2])
def test_a_gradient_whose_square_overflows_is_not_taken_for_infinite(surgery_class, task):
    """Whichever task's it is: its float32 products are taken again in float64."""
    gradients = [[np.array([1.0, 2.0])], [np.array([-1.0, 3.0])], [np.array([2.0, -1.0])]]
    gradients[task][0] *= 1e25
    orders = projection_orders(0, 0, 3).numpy().tolist()
    update = LinearTasks(gradients).backward(surgery_class("sum", seed=0), step=0)
    assert_update(update, reference.update(gradients, orders), gradients)
