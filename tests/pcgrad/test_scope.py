"""Which variables take part in the surgery, and what the others get."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reference
from pcgrad import (
    PCGrad,
    PPCGrad,
    equal_weights,
    projection_orders,
    task_gradients,
    weighted_backward,
)
from problems import LinearTasks, as_arrays, assert_update
from strategies import REDUCTIONS, partial_gradients, some_tasks

SURGERIES = [PCGrad, PPCGrad]
# Two heads whose gradients would hide the trunk's conflict if they were flattened in with it.
TRUNK = [np.array([1.0, 0.0]), np.array([-1.0, 1.0])]
HEADS = [np.array([30.0, 40.0, 1.0]), np.array([7.0])]
TWO_HEADED = [[TRUNK[0], HEADS[0], None], [TRUNK[1], None, HEADS[1]]]


def agreeing_gradients(tasks: int) -> st.SearchStrategy[np.ndarray]:
    """Without a negative inner product, and so small that every sum is exact."""
    return hnp.arrays(np.float32, (tasks, 5), elements=st.integers(0, 9))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_task_specific_variable_gets_its_own_gradient(surgery_class, reduction):
    update = LinearTasks(TWO_HEADED).backward(surgery_class(reduction))
    np.testing.assert_array_equal(update[1], HEADS[0])
    np.testing.assert_array_equal(update[2], HEADS[1])


@pytest.mark.parametrize(("reduction", "factor"), [("sum", 1.0), ("mean", 0.5)])
def test_heads_do_not_weaken_the_projection_of_the_trunk(surgery_class, reduction, factor):
    update = LinearTasks(TWO_HEADED).backward(surgery_class(reduction))
    # By hand: g1 becomes (0.5, 0.5), g2 becomes (0, 1).
    np.testing.assert_allclose(update[0], factor * np.array([0.5, 1.5]), rtol=1e-6)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=60)
@given(gradients=some_tasks(2, 3, 4).flatmap(partial_gradients), reduction=REDUCTIONS)
def test_any_pattern_of_reach_equals_the_reference(surgery_class, gradients, reduction):
    """Zeros where a task does not reach, T in the mean, own gradients, `None`: all at once."""
    update = LinearTasks(gradients).backward(surgery_class(reduction, seed=2), step=9)
    orders = projection_orders(2, 9, len(gradients)).numpy().tolist()
    expected = reference.update(gradients, orders, reduction)
    assert_update(update, expected, gradients)
    for column, gradient in zip(zip(*gradients, strict=True), update, strict=True):
        reaching = [g for g in column if g is not None]
        if len(reaching) == 1:
            np.testing.assert_array_equal(gradient, reaching[0])


def test_a_variable_without_gradient_keeps_its_place(surgery_class):
    gradients = [[None, TRUNK[0], None], [None, TRUNK[1], HEADS[1]]]
    update = LinearTasks(gradients).backward(surgery_class("sum"))
    assert update[0] is None
    np.testing.assert_allclose(update[1], [0.5, 1.5], rtol=1e-6)
    np.testing.assert_array_equal(update[2], HEADS[1])


def test_a_gradient_that_is_zero_reaches(surgery_class):
    """Reaching is structural: the variable is shared, so "mean" divides its update."""
    gradients = [[np.array([4.0, 8.0])], [np.zeros(2)]]
    np.testing.assert_array_equal(
        LinearTasks(gradients).backward(surgery_class("mean"))[0], [2.0, 4.0]
    )


def test_mean_divides_by_all_tasks_where_only_some_reach(surgery_class):
    one, two = np.array([3.0, 6.0]), np.array([6.0, 3.0])
    update = LinearTasks([[one], [two], [None]]).backward(surgery_class("mean"))
    np.testing.assert_allclose(update[0], (one + two) / 3, rtol=1e-6)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=30)
@given(rows=some_tasks(2, 3, 4, 7).flatmap(agreeing_gradients))
def test_without_a_conflict_it_is_exactly_the_plain_sum(surgery_class, rows):
    update = LinearTasks([[row] for row in rows]).backward(surgery_class("sum"))
    np.testing.assert_array_equal(update[0], rows.sum(axis=0))


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(rows=some_tasks(2, 4).flatmap(agreeing_gradients))
def test_without_a_conflict_it_is_exactly_the_plain_mean(surgery_class, rows):
    update = LinearTasks([[row] for row in rows]).backward(surgery_class("mean"))
    np.testing.assert_array_equal(update[0], rows.mean(axis=0))


def test_mean_is_the_default(surgery_class):
    update = LinearTasks([[np.array([2.0])], [np.array([4.0])]]).backward(surgery_class())
    np.testing.assert_array_equal(update[0], [3.0])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_one_task_gets_the_plain_gradient(surgery_class, reduction):
    gradients = [[np.array([2.0, -3.0]), None]]
    variables = LinearTasks(gradients).variables
    with tf.GradientTape() as tape:  # persistent or not: there is one loss only
        loss = tf.reduce_sum(variables[0] * gradients[0][0])
    update = surgery_class(reduction).pc_backward(tape, [loss], variables)
    np.testing.assert_array_equal(update[0], gradients[0][0])
    assert update[1] is None


def test_losses_by_name_in_a_tuple_or_a_list_are_the_same(surgery_class):
    problem = LinearTasks(TWO_HEADED)
    tape, losses = problem.tape()
    named = {"tip": losses[0], "fare": losses[1]}
    surgery = surgery_class(seed=0)
    expected = as_arrays(surgery.pc_backward(tape, losses, problem.variables, step=0))
    for given_losses in (tuple(losses), named):
        update = surgery.pc_backward(tape, given_losses, tuple(problem.variables), step=0)
        for actual, wanted in zip(as_arrays(update), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
    assert task_gradients(tape, named, problem.variables).tasks == ("tip", "fare")
    assert task_gradients(tape, losses, problem.variables).tasks == ("0", "1")


def test_a_loss_that_is_not_a_scalar_counts_as_its_sum(surgery_class):
    variable = tf.Variable([1.0, 2.0])
    rows = tf.constant([[[1.0, 0.5], [-3.0, 1.0]], [[2.0, -1.0], [0.5, 0.25]]])
    with tf.GradientTape(persistent=True) as tape:
        vectors = [tf.linalg.matvec(task, variable) for task in rows]
        scalars = [tf.reduce_sum(vector) for vector in vectors]
    surgery = surgery_class(seed=0)
    update = surgery.pc_backward(tape, vectors, [variable], step=0)[0]
    np.testing.assert_array_equal(update, surgery.pc_backward(tape, scalars, [variable], step=0)[0])


def test_keras_variables_of_a_model_with_two_heads(surgery_class):
    inputs = keras.Input((3,))
    trunk = keras.layers.Dense(4, activation="tanh")
    heads = [keras.layers.Dense(1), keras.layers.Dense(2)]
    unused = keras.layers.Dense(2)
    unused.build((None, 3))
    model = keras.Model(inputs, [head(trunk(inputs)) for head in heads])
    variables = [*model.trainable_variables, *unused.trainable_variables]
    x = tf.random.stateless_normal([6, 3], seed=[0, 1])
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_mean((output - 1) ** 2) for output in model(x)]
    update = surgery_class("sum", seed=0).pc_backward(tape, losses, variables, step=0)
    by_task = [
        [None if g is None else g.numpy() for g in tape.gradient(loss, variables)]
        for loss in losses
    ]
    assert_update(update, reference.update(by_task, [[0, 1], [0, 1]], "sum"), by_task)
    assert update[-1] is None
    assert update[-2] is None


def test_equal_weights_are_the_plain_gradient_of_the_summed_losses():
    problem = LinearTasks(TWO_HEADED)
    tape, losses = problem.tape()
    update = weighted_backward(tape, losses, problem.variables, equal_weights)
    with tf.GradientTape() as plain_tape:
        total = tf.add_n(problem.losses())
    plain = plain_tape.gradient(total, problem.variables)
    for actual, wanted in zip(update, plain, strict=True):
        np.testing.assert_array_equal(actual, wanted)
