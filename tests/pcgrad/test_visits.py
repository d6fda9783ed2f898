"""Every visit of Algorithm 1, for given orders, of few tasks and of many."""

import numpy as np
import pytest
import tensorflow as tf

import reference
from pcgrad.weightings.projection import parallel_projection, sequential_projection

# Up to eight tasks the visits are unrolled, beyond they are a loop.
TASKS = [2, 3, 7, 8, 9, 10, 17, 40]


@pytest.fixture(params=[sequential_projection, parallel_projection])
def project(request: pytest.FixtureRequest):
    return request.param


def conflicting(tasks: int, size: int, seed: int) -> np.ndarray:
    """[T, D]: in few dimensions a task ends far from its own gradient, often against it."""
    vectors = np.random.default_rng(seed).normal(size=(tasks, size))
    return vectors * np.geomspace(0.1, 10, tasks)[:, np.newaxis]


def projected(project, vectors: np.ndarray, orders: np.ndarray) -> np.ndarray:
    gramian = tf.constant(vectors @ vectors.T)
    return project(gramian, tf.constant(orders, tf.int32)).numpy() @ vectors


@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("size", [3, 60])
def test_random_orders(project, tasks, size):
    for seed in range(5):
        vectors = conflicting(tasks, size, seed)
        rng = np.random.default_rng(seed)
        orders = np.array([rng.permutation(tasks) for _ in range(tasks)])
        expected = reference.projected(vectors, orders)
        np.testing.assert_allclose(projected(project, vectors, orders), expected, atol=1e-9)


@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("place", [0, -1])
def test_a_visit_that_alone_matters(project, tasks, place):
    """Task 0 conflicts with one other only, which it visits first or last."""
    vectors = np.eye(tasks)
    vectors[-1, 0] = -0.5
    others = list(range(1, tasks - 1))
    orders = np.tile(np.arange(tasks), (tasks, 1))
    orders[0] = [tasks - 1, 0, *others] if place == 0 else [0, *others, tasks - 1]
    found = projected(project, vectors, orders)
    np.testing.assert_allclose(found, reference.projected(vectors, orders), atol=1e-12)
    assert abs(found[0, 0] - 1) > 0.1


def test_a_task_does_not_visit_itself(project):
    """Where the others have turned its gradient round: it would become zero."""
    vectors = np.array([[1.0, 0.0], [-1.0, 0.1], [-0.3, -1.0]])
    orders = np.array([[2, 1, 0], [0, 2, 1], [1, 0, 2]])
    expected = reference.projected(vectors, orders)
    assert (expected @ vectors.T).diagonal().min() < -0.01
    np.testing.assert_allclose(projected(project, vectors, orders), expected, atol=1e-12)
