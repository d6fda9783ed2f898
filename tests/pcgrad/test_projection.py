"""The surgery is Algorithm 1 of the paper."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from pcgrad import PCGrad, PPCGrad, projection_orders
from problems import LinearTasks, as_arrays, assert_update, distance
from strategies import REDUCTIONS, integer_gradients, some_tasks

SURGERIES = [PCGrad, PPCGrad]
# Three conflicting gradients for which all eight outcomes of the orders differ.
THREE = np.array([[1.0, 0.2, 0.1], [-0.8, 1.0, -0.3], [-0.3, -0.9, 0.5]])


def orders_drawn(seed: int, step: int, tasks: int) -> list[list[int]]:
    return projection_orders(seed, step, tasks).numpy().tolist()


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=30)
@given(gradients=integer_gradients(2), reduction=REDUCTIONS)
def test_two_tasks_equal_the_closed_form(surgery_class, reduction, gradients):
    one, two = reference.shared_vectors(gradients)
    inner = min(0.0, one @ two)
    expected = one + two
    if inner:
        expected = expected - inner / (two @ two) * two - inner / (one @ one) * one
    if reduction == "mean":
        expected = expected / 2
    update = LinearTasks(gradients).backward(surgery_class(reduction))
    np.testing.assert_allclose(reference.flat(as_arrays(update)), expected, atol=1e-5)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(gradients=integer_gradients(2))
def test_two_tasks_after_surgery_neither_is_hurt(surgery_class, gradients):
    update = reference.flat(as_arrays(LinearTasks(gradients).backward(surgery_class("sum"))))
    assert np.all(reference.shared_vectors(gradients) @ update >= -1e-4)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(gradients=integer_gradients(3), step=st.integers(0, 1000))
def test_three_tasks_equal_one_of_eight_outcomes(surgery_class, gradients, step):
    update = reference.flat(as_arrays(LinearTasks(gradients).backward(surgery_class("sum"), step)))
    outcomes = [
        reference.flat(reference.update(gradients, orders)) for orders in reference.all_orders(3)
    ]
    assert len(outcomes) == 8
    assert min(np.abs(update - outcome).max() for outcome in outcomes) < 1e-4


def test_three_tasks_reach_every_outcome(surgery_class):
    outcomes = np.array(
        [reference.projected(THREE, orders).sum(axis=0) for orders in reference.all_orders(3)]
    )
    assert len(np.unique(outcomes.round(6), axis=0)) == 8
    surgery = surgery_class("sum", seed=0)
    gramian = tf.constant(THREE @ THREE.T)
    seen = set()
    for step in range(120):
        update = surgery(gramian, step).numpy() @ THREE
        errors = np.abs(outcomes - update).max(axis=1)
        assert errors.min() < 1e-12
        seen.add(int(errors.argmin()))
    assert seen == set(range(8))


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=60)
@given(
    gradients=some_tasks(3, 4, 6).flatmap(integer_gradients),
    reduction=REDUCTIONS,
    step=st.integers(0, 2**40),
)
def test_equals_the_reference_for_the_orders_drawn(surgery_class, gradients, reduction, step):
    update = LinearTasks(gradients).backward(surgery_class(reduction, seed=5), step)
    expected = reference.update(gradients, orders_drawn(5, step, len(gradients)), reduction)
    assert_update(update, expected, gradients)


@settings(max_examples=30)
@given(gradients=some_tasks(2, 3, 6).flatmap(integer_gradients), step=st.integers(0, 1000))
def test_parallel_equals_sequential_execution(gradients, step):
    problem = LinearTasks(gradients)
    one = problem.backward(PCGrad(seed=3), step)
    other = problem.backward(PPCGrad(seed=3), step)
    assert_update(one, as_arrays(other), problem.gradients, tolerance=1e-6)


def test_inner_products_are_taken_with_the_running_gradient(surgery_class):
    """Taken with the original gradients the surgery is another method for three tasks."""
    problem = LinearTasks([[row] for row in THREE])
    original = [reference.simultaneously_projected(THREE).sum(axis=0)]
    for step in range(8):
        update = problem.backward(surgery_class("sum", seed=0), step)
        assert distance(update, original) > 1e-2


def test_projects_over_all_shared_variables_together(surgery_class):
    """Per variable there is a conflict in the first only; over both there is none."""
    gradients = [[np.array([1.0, 0.0]), np.array([3.0])], [np.array([-1.0, 1.0]), np.array([2.0])]]
    update = LinearTasks(gradients).backward(surgery_class("sum"))
    np.testing.assert_array_equal(update[0], [0.0, 1.0])
    np.testing.assert_array_equal(update[1], [5.0])


@given(gradients=some_tasks(2, 3, 6).flatmap(integer_gradients), reduction=REDUCTIONS)
def test_simultaneous_projection_takes_the_original_inner_products(gradients, reduction):
    surgery = PCGrad(reduction, projection="simultaneous")
    expected = reference.merge(
        gradients,
        reference.simultaneously_projected(reference.shared_vectors(gradients)),
        reduction,
    )
    assert_update(LinearTasks(gradients).backward(surgery), expected, gradients)


def test_simultaneous_projection_is_free_of_orders(surgery_class):
    problem = LinearTasks([[row] for row in THREE])
    updates = [
        problem.backward(surgery_class(projection="simultaneous", seed=seed), step)[0].numpy()
        for seed in (0, 1)
        for step in range(4)
    ]
    for update in updates:
        np.testing.assert_array_equal(update, updates[0])


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(gradients=integer_gradients(3))
def test_a_zero_gradient_is_no_projection_target(surgery_class, gradients):
    """A task whose gradient is zero changes nothing, but counts in the mean."""
    zero = [np.zeros_like(gradient) for gradient in gradients[0]]
    with_zero = [gradients[0], zero, gradients[1]]
    expected = reference.update(gradients[:2], [[0, 1], [1, 0]], "sum")
    update = LinearTasks(with_zero).backward(surgery_class("sum"))
    assert_update(update, expected, gradients)
    mean = LinearTasks(with_zero).backward(surgery_class("mean"))
    assert_update(mean, [e / 3 for e in expected], gradients)


def test_all_gradients_zero(surgery_class):
    update = LinearTasks([[np.zeros(3)]] * 3).backward(surgery_class())
    np.testing.assert_array_equal(update[0], np.zeros(3))


def test_opposite_gradients_cancel(surgery_class):
    gradient = np.array([1.0, 2.0, -3.0])
    update = LinearTasks([[gradient], [-2 * gradient]]).backward(surgery_class("sum"))
    np.testing.assert_allclose(update[0], np.zeros(3), atol=1e-6)
