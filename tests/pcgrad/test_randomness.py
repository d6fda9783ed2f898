"""The orders of the projections: uniform, independent, fresh, reproducible."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pcgrad import PCGrad, projection_orders
from problems import LinearTasks, as_arrays

THREE = [[row] for row in np.array([[1.0, 0.2, 0.1], [-0.8, 1.0, -0.3], [-0.3, -0.9, 0.5]])]
# The draws are a pure function of the seed: these tests give the same p-values in every run.
SIGNIFICANCE = 1e-3


def visits(seeds: np.ndarray, steps: np.ndarray, tasks: int) -> np.ndarray:
    """[draws, T]: for each draw and task the number of the order in which it visits the others."""

    @tf.function
    def draw(seed_and_step: tf.Tensor) -> tf.Tensor:
        return projection_orders(seed_and_step[0], seed_and_step[1], tasks)

    pairs = tf.constant(np.stack(np.broadcast_arrays(seeds, steps), axis=1), tf.int64)
    orders = tf.map_fn(draw, pairs, fn_output_signature=tf.int32).numpy()
    numbers = np.empty(orders.shape[:2], int)
    for task in range(tasks):
        others = [other for other in range(tasks) if other != task]
        number_of = {order: k for k, order in enumerate(itertools.permutations(others))}
        for index, order in enumerate(orders[:, task].tolist()):
            numbers[index, task] = number_of[tuple(other for other in order if other != task)]
    return numbers


@pytest.fixture(scope="module", params=["steps", "seeds"])
def draws(request: pytest.FixtureRequest) -> np.ndarray:
    """1800 draws of the orders of four tasks: of one seed's steps, or of many seeds' first."""
    many = np.arange(1800)
    return visits(0, many, 4) if request.param == "steps" else visits(many, 0, 4)


def assert_uniform(values: np.ndarray, categories: int) -> None:
    counts = np.bincount(values, minlength=categories)
    assert len(counts) == categories
    assert scipy.stats.chisquare(counts).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("task", range(4))
def test_every_order_of_a_task_is_equally_likely(draws, task):
    assert_uniform(draws[:, task], 6)


@pytest.mark.parametrize(("one", "other"), itertools.combinations(range(4), 2))
def test_the_orders_of_two_tasks_are_independent(draws, one, other):
    assert_uniform(6 * draws[:, one] + draws[:, other], 36)


@pytest.mark.parametrize("task", range(4))
def test_the_orders_of_consecutive_draws_are_independent(draws, task):
    assert_uniform(6 * draws[:-1:2, task] + draws[1::2, task], 36)


def test_the_orders_of_three_tasks_are_jointly_uniform():
    numbers = visits(0, np.arange(800), 3)
    assert_uniform(numbers @ [4, 2, 1], 8)


@given(
    seed=st.integers(-(2**63), 2**63 - 1), step=st.integers(0, 2**63 - 1), tasks=st.integers(1, 9)
)
def test_every_row_is_a_permutation_and_a_function_of_its_arguments(seed, step, tasks):
    orders = projection_orders(seed, step, tasks)
    assert orders.dtype == tf.int32
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(tasks), (tasks, 1)))
    np.testing.assert_array_equal(orders, projection_orders(seed, step, tasks))


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("tasks", [2, 3, 8])
def test_the_same_orders_in_eager_mode_graphs_and_xla(compiled, tasks):
    traced = tf.function(lambda step: projection_orders(5, step, tasks), jit_compile=compiled)
    for step in range(20):
        eager = projection_orders(5, step, tasks)
        np.testing.assert_array_equal(traced(tf.constant(step, tf.int64)), eager)


def test_fresh_orders_in_every_step_of_one_traced_graph(surgery_class):
    problem = LinearTasks(THREE)
    surgery = surgery_class("sum", seed=0)
    traces = []

    @tf.function
    def one_step() -> tf.Tensor:
        traces.append(1)
        return problem.backward(surgery)[0]

    one_step()
    del traces[:]
    updates = np.array([one_step().numpy() for _ in range(40)])
    assert not traces
    assert len(np.unique(updates.round(5), axis=0)) == 8


def test_steps_are_counted_from_zero_and_an_explicit_step_does_not_count(surgery_class):
    problem = LinearTasks(THREE)
    counting = surgery_class(seed=3)
    reference = surgery_class(seed=3)
    for step in range(12):
        problem.backward(counting, step=1000 + step)
        counted = problem.backward(counting)[0]
        np.testing.assert_array_equal(counted, problem.backward(reference, step=step)[0])


def test_counting_goes_on_from_eager_mode_to_a_graph(surgery_class):
    problem = LinearTasks(THREE)
    surgery = surgery_class(seed=3)
    traced = tf.function(lambda: problem.backward(surgery)[0])
    updates = [problem.backward(surgery)[0], traced(), traced(), problem.backward(surgery)[0]]
    for step, update in enumerate(updates):
        expected = problem.backward(surgery_class(seed=3), step=step)[0]
        np.testing.assert_allclose(update, expected, rtol=1e-6)


def test_another_seed_draws_other_orders():
    orders = {projection_orders(seed, 0, 6).numpy().tobytes() for seed in range(20)}
    assert len(orders) == 20


def updates_of(surgery: PCGrad) -> np.ndarray:
    return np.array([as_arrays(LinearTasks(THREE).backward(surgery)) for _ in range(20)])


@pytest.mark.parametrize("bits", [31, 32, 40])
def test_steps_and_seeds_count_in_all_their_bits(bits):
    """As 64-bit numbers: those that agree in the lower bits draw other orders."""
    orders = projection_orders(3, 5, 8)
    assert np.any(projection_orders(3, 5 + 2**bits, 8) != orders)
    assert np.any(projection_orders(3 + 2**bits, 5, 8) != orders)


def test_without_a_seed_one_is_drawn(surgery_class):
    seeds = {surgery_class().seed for _ in range(10)}
    assert len(seeds) == 10
    surgery = surgery_class()
    again = surgery_class(seed=surgery.seed)
    np.testing.assert_array_equal(updates_of(surgery), updates_of(again))


def test_set_seed_makes_the_drawn_seed_reproducible(surgery_class):
    tf.random.set_seed(7)
    first = updates_of(surgery_class())
    tf.random.set_seed(7)
    np.testing.assert_array_equal(updates_of(surgery_class()), first)
    tf.random.set_seed(8)
    assert np.any(updates_of(surgery_class()) != first)


def test_a_seed_may_be_drawn_while_tracing(surgery_class):
    tf.random.set_seed(7)
    outside = surgery_class().seed
    inside = []
    tf.random.set_seed(7)
    tf.function(lambda: inside.append(surgery_class().seed))()
    assert inside == [outside]


def test_the_configuration_carries_the_seed(surgery_class):
    surgery = surgery_class("sum")
    assert surgery.get_config() == {
        "reduction": "sum",
        "projection": "sequential",
        "seed": surgery.seed,
    }
    again = surgery_class.from_config(surgery.get_config())
    assert repr(again) == repr(surgery)
    np.testing.assert_array_equal(updates_of(again), updates_of(surgery))
