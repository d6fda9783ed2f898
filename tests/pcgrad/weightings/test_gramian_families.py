"""Gram matrices of all kinds, of 1 to 50 tasks: what every method promises holds for each."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_families import FAMILIES, task_gradients_of
from weighting_methods import METHODS

pytestmark = pytest.mark.slow

# Gradients that cancel each other have no solution: its weights grow without bounds.
UNBOUNDED = ("FairGrad", "NashMTL")
TOLERANCE = 1e-5
# XLA's eigenvectors are exact to 1e-7, and these methods divide by small eigenvalues.
BY_EIGENVECTORS, TOLERANCE_OF_XLA = ("AlignedMTL", "ConFIG", "IMTLG"), 5e-3


@st.composite
def cases(draw, tasks):
    """A family, task gradients, and an exponent of ten to scale them by."""
    family = draw(st.sampled_from(FAMILIES))
    gradients = task_gradients_of(family, draw(tasks), draw(st.integers(0, 1000)))
    return family, gradients, draw(st.integers(-15, 15))


def weights_of(method, gradients):
    weights = method(tf.constant(gradients @ gradients.T), 0)
    assert weights.dtype == tf.float64
    assert weights.shape == [len(gradients)]
    assert np.isfinite(weights).all()
    return weights.numpy()


def assert_same_update(found, wanted, gradients, tolerance=TOLERANCE):
    """Of two lists of weights: where gradients depend on each other, several give one update."""
    update = wanted @ gradients
    lengths = np.linalg.norm(gradients, axis=1)
    size = max(np.linalg.norm(update), 1e-3 * np.max(np.abs(wanted) * lengths))
    assert np.linalg.norm(found @ gradients - update) <= tolerance * size


def check(name, case):
    method, (family, gradients, exponent) = METHODS[name], case
    tasks = len(gradients)
    if name == "PrimaryTask" and tasks == 1:  # here it is the second one
        return
    weights = weights_of(method.make(), gradients)
    scale = 10.0**exponent
    scaled = weights_of(method.make(), scale * gradients)
    if name in UNBOUNDED and family == "dependent":
        return
    assert_same_update(scaled / scale**method.power, weights, gradients)
    if method.permuted is not None:
        order = np.random.default_rng(tasks).permutation(tasks)
        permuted = weights_of(method.permuted(order), gradients[order])
        assert_same_update(permuted[np.argsort(order)], weights, gradients)


@pytest.mark.parametrize("name", METHODS)
@given(case=cases(st.integers(1, 50)))
@settings(max_examples=20)
def test_up_to_fifty_tasks(name, case):
    check(name, case)


@pytest.mark.parametrize("tasks", [2, 5, 6, 20])
@pytest.mark.parametrize("name", METHODS)
def test_execution_of_every_family(name, tasks):
    """One trace for all: eagerly, in a graph and compiled by XLA."""
    ways = [METHODS[name].make() for _ in range(2)]
    for method in ways:
        if hasattr(method, "build"):
            method.build(tasks)
    compiled = [
        tf.function(method.__call__, jit_compile=jit_compile)
        for method, jit_compile in zip(ways, (False, True), strict=True)
    ]
    eager = METHODS[name].make()
    for step, family in enumerate(FAMILIES):
        gradients = task_gradients_of(family, tasks)
        arguments = tf.constant(gradients @ gradients.T), tf.constant(step, tf.int64)
        wanted, in_graph, by_xla = (call(*arguments).numpy() for call in (eager, *compiled))
        if name in UNBOUNDED and family == "dependent":
            continue
        assert_same_update(in_graph, wanted, gradients)
        tolerance = TOLERANCE_OF_XLA if name in BY_EIGENVECTORS else TOLERANCE
        assert_same_update(by_xla, wanted, gradients, tolerance)
