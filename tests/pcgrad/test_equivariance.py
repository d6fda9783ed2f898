"""Symmetries of the surgery: what must not matter, does not."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from pcgrad import PCGrad, PPCGrad, projection_orders
from problems import LinearTasks, as_arrays, assert_update
from strategies import ill_conditioned_gradients, integer_gradients, some_tasks

SURGERIES = [PCGrad, PPCGrad]
SOME_GRADIENTS = some_tasks(2, 3, 6).flatmap(integer_gradients)
THREE = np.array([[1.0, 0.2, 0.1], [-0.8, 1.0, -0.3], [-0.3, -0.9, 0.5]])


def test_permuting_the_tasks_permutes_the_distribution(surgery_class):
    """The update is symmetric in the tasks: the same outcomes, each as often, for every order."""
    outcomes = np.array(
        [reference.projected(THREE, orders).sum(axis=0) for orders in reference.all_orders(3)]
    )
    surgery = surgery_class("sum", seed=11)
    for permutation in ([0, 1, 2], [2, 0, 1], [1, 0, 2]):
        rows = THREE[permutation]
        gramian = tf.constant(rows @ rows.T)
        counts = np.zeros(8)
        for step in range(240):
            update = surgery(gramian, step).numpy() @ rows
            errors = np.abs(outcomes - update).max(axis=1)
            assert errors.min() < 1e-12
            counts[errors.argmin()] += 1
        assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=30)
@given(gradients=SOME_GRADIENTS, rotation_seed=st.integers(0, 2**32 - 1))
def test_orthogonal_transformations_commute(surgery_class, gradients, rotation_seed):
    vectors = reference.shared_vectors(gradients)
    size = vectors.shape[1]
    matrix = np.random.default_rng(rotation_seed).normal(size=(size, size))
    rotation = np.linalg.qr(matrix)[0]
    surgery = surgery_class("sum", seed=0)
    before = [[row @ rotation] for row in vectors]
    rotated_first = LinearTasks(before).backward(surgery, step=3)
    rotated_after = LinearTasks([[row] for row in vectors]).backward(surgery, step=3)
    assert_update(rotated_first, [as_arrays(rotated_after)[0] @ rotation], before)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=40)
@given(gradients=SOME_GRADIENTS, factor=st.floats(1e-3, 1e3), data=st.data())
def test_scaling_one_loss_leaves_the_other_tasks_projections(
    surgery_class, gradients, factor, data
):
    """Only the scaled task's own projected gradient changes, by the same factor."""
    scaled_task = data.draw(st.integers(0, len(gradients) - 1))
    scaled = [
        [factor * g for g in row] if task == scaled_task else row
        for task, row in enumerate(gradients)
    ]
    orders = projection_orders(7, 1, len(gradients)).numpy().tolist()
    projected = reference.projected(reference.shared_vectors(gradients), orders)
    projected[scaled_task] *= factor
    update = LinearTasks(scaled).backward(surgery_class("sum", seed=7), step=1)
    assert_update(update, reference.merge(gradients, projected), scaled)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(
    rows=some_tasks(2, 4).flatmap(lambda tasks: ill_conditioned_gradients(tasks, 10)),
    exponent=st.integers(-15, 15),
)
def test_scaling_all_losses_scales_the_update(surgery_class, rows, exponent):
    """Exactly, for the powers of two that loss scaling uses."""
    surgery = surgery_class(seed=0)
    update = LinearTasks([[row] for row in rows]).backward(surgery, step=0)[0]
    factor = 2.0**exponent
    scaled = LinearTasks([[row * np.float32(factor)] for row in rows]).backward(surgery, step=0)[0]
    np.testing.assert_array_equal(scaled, update * factor)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(gradients=SOME_GRADIENTS, position=st.integers(1, 7))
def test_splitting_a_variable_changes_nothing(surgery_class, gradients, position):
    vectors = reference.shared_vectors(gradients)
    surgery = surgery_class(seed=0)
    whole = LinearTasks([[row] for row in vectors])
    split = LinearTasks([[row[:position], row[position:]] for row in vectors])
    expected = as_arrays(whole.backward(surgery, step=0))[0]
    assert_update(
        split.backward(surgery, step=0), [expected[:position], expected[position:]], split.gradients
    )


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(gradients=SOME_GRADIENTS)
def test_flattening_a_variable_changes_nothing(surgery_class, gradients):
    vectors = reference.shared_vectors(gradients)
    surgery = surgery_class(seed=0)
    flat = LinearTasks([[row] for row in vectors])
    cube = LinearTasks([[row.reshape(2, 1, 4)] for row in vectors])
    expected = as_arrays(flat.backward(surgery, step=0))[0]
    assert_update(cube.backward(surgery, step=0), [expected.reshape(2, 1, 4)], flat.gradients, 1e-6)
