"""Arguments of the methods: what is refused, and how; the state of GradVac."""

import re

import numpy as np
import pytest
import tensorflow as tf

import pcgrad
from gradient_families import task_gradients_of


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "much", None, True])
@pytest.mark.parametrize(
    ("argument", "make", "allowed"),
    [
        ("c", pcgrad.CAGrad, "a number of 0 or more"),
        ("alpha", pcgrad.FairGrad, "a number above 0"),
        ("beta", pcgrad.GradVac, "a number of 0 ≤ beta < 1"),
    ],
)
def test_numbers(argument, make, allowed, value):
    expected = f"`{argument}` must be {allowed}, not {value!r}"
    with pytest.raises(ValueError, match=rf"\A{re.escape(expected)}\Z"):
        make(**{argument: value})


@pytest.mark.parametrize("make", [lambda: pcgrad.FairGrad(alpha=0), lambda: pcgrad.GradVac(beta=1)])
def test_ends_of_ranges(make):
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize("value", [-1, 0.5, [0], True])
@pytest.mark.parametrize(
    ("argument", "make"), [("task", pcgrad.PrimaryTask), ("seed", pcgrad.GradVac)]
)
def test_integers(argument, make, value):
    expected = f"`{argument}` must be an integer of 0 or more, not {value!r}"
    with pytest.raises(ValueError, match=rf"\A{re.escape(expected)}\Z"):
        make(**{argument: value})


def test_a_primary_task_that_is_not_there():
    with pytest.raises(ValueError, match="`task` must be below the number of tasks, 2, not 2"):
        pcgrad.PrimaryTask(2)(tf.eye(2))


def test_gradvac_counts_steps_that_it_is_not_given():
    gradients = task_gradients_of("random", 6)
    counting, told = pcgrad.GradVac(beta=0.5), pcgrad.GradVac(beta=0.5)
    for step in range(3):
        gramian = tf.constant(gradients @ gradients.T)
        np.testing.assert_array_equal(counting(gramian), told(gramian, step))


def test_gradvac_goes_on_from_a_checkpoint(tmp_path):
    gradients = task_gradients_of("random", 6)
    gramian = tf.constant(gradients @ gradients.T)
    first, second = pcgrad.GradVac(beta=0.5), pcgrad.GradVac(beta=0.5)
    first(gramian)
    path = tf.train.Checkpoint(method=first).save(tmp_path / "state")
    second.build(6)
    tf.train.Checkpoint(method=second).restore(path).assert_consumed()
    np.testing.assert_array_equal(second(gramian), first(gramian))


def test_gradvac_forgets_what_is_not_finite():
    gramian = np.array([[1.0, 0.6], [0.6, 1.0]])
    seen, spared = pcgrad.GradVac(beta=0.5), pcgrad.GradVac(beta=0.5)
    for method in (seen, spared):
        method(gramian, 0)
    seen(gramian * np.nan, 1)
    np.testing.assert_array_equal(seen(np.eye(2), 2), spared(np.eye(2), 2))


def test_gradvac_learns_nothing_of_a_task_without_a_gradient():
    """As without a label in the batch: what is known of the pair stays as it is."""
    aligned = np.array([[1.0, 0.6], [0.6, 1.0]])
    alone = np.array([[1.0, 0.0], [0.0, 0.0]])
    paused, going_on = pcgrad.GradVac(beta=0.5), pcgrad.GradVac(beta=0.5)
    for vaccine, gramians in ((paused, (aligned, alone, alone)), (going_on, (aligned,))):
        for gramian in gramians:
            vaccine(tf.constant(gramian))
    orthogonal = tf.eye(2, dtype=tf.float64)
    np.testing.assert_allclose(paused(orthogonal), going_on(orthogonal), rtol=1e-12)
