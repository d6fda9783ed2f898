"""Embedding gradients stay `tf.IndexedSlices`, and cost by the rows touched."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reference
from pcgrad import PCGrad, PPCGrad, projection_orders
from problems import LinearTasks, assert_update
from strategies import REDUCTIONS, some_tasks

SURGERIES = [PCGrad, PPCGrad]
ROWS, WIDTH = 6, 3
Lookup = tuple[np.ndarray, np.ndarray]


@st.composite
def lookups(draw: st.DrawFn, tasks: int) -> list[Lookup]:
    """By task the indices looked up (repeated, none, in any order) and the rows' gradients."""
    found = []
    for _ in range(tasks):
        count = draw(st.integers(0, 5))
        indices = draw(hnp.arrays(np.int64, count, elements=st.integers(0, ROWS - 1)))
        rows = draw(hnp.arrays(np.float32, (count, WIDTH), elements=st.integers(-3, 3)))
        found.append((indices, rows))
    return found


def dense(lookup: Lookup, rows: int = ROWS) -> np.ndarray:
    indices, values = lookup
    table = np.zeros((rows, *values.shape[1:]), np.float64)
    np.add.at(table, indices, values)
    return table


def is_sparse(gradient: tf.Tensor | tf.IndexedSlices | None) -> bool:
    return isinstance(gradient, tf.IndexedSlices)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@settings(max_examples=60)
@given(sparse=some_tasks(2, 3, 4).flatmap(lookups), reduction=REDUCTIONS)
def test_equals_the_reference_on_dense_gradients(surgery_class, sparse, reduction):
    """Repeated indices, different ones in every task, empty lookups."""
    problem = LinearTasks([[lookup] for lookup in sparse], shapes=[(ROWS, WIDTH)])
    update = problem.backward(surgery_class(reduction, seed=0), step=4)
    gradients = [[dense(lookup)] for lookup in sparse]
    expected = reference.update(
        gradients, projection_orders(0, 4, len(sparse)).numpy().tolist(), reduction
    )
    assert is_sparse(update[0])
    touched = {index for indices, _ in sparse for index in indices.tolist()}
    assert sorted(update[0].indices.numpy().tolist()) == sorted(touched)
    assert_update(update, expected, gradients)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(data=st.data())
def test_dense_and_sparse_variables_take_part_together(surgery_class, data):
    """Their inner products add up: a conflict in one may be outweighed by the other."""
    sparse = data.draw(lookups(3))
    elements = st.integers(-3, 3)
    others = [data.draw(hnp.arrays(np.float32, 4, elements=elements)) for _ in range(3)]
    rows = list(zip(sparse, others, strict=True))
    problem = LinearTasks([list(row) for row in rows], shapes=[(ROWS, WIDTH), (4,)])
    update = problem.backward(surgery_class("sum", seed=0), step=4)
    gradients = [[dense(lookup), other] for lookup, other in rows]
    expected = reference.update(gradients, projection_orders(0, 4, 3).numpy().tolist(), "sum")
    assert [is_sparse(gradient) for gradient in update] == [True, False]
    assert_update(update, expected, gradients)


@pytest.mark.parametrize("surgery_class", SURGERIES)
@given(data=st.data())
def test_one_variable_looked_up_by_one_task_and_used_whole_by_another(surgery_class, data):
    (lookup,) = data.draw(lookups(1))
    whole = data.draw(hnp.arrays(np.float32, (ROWS, WIDTH), elements=st.integers(-3, 3)))
    problem = LinearTasks([[lookup], [whole]], shapes=[(ROWS, WIDTH)])
    gradients = [[dense(lookup)], [whole]]
    expected = reference.update(gradients, [[1], [0]], "mean")
    assert_update(problem.backward(surgery_class("mean")), expected, gradients)


def test_a_task_specific_table_gets_its_own_slices(surgery_class):
    lookup = (np.array([4, 1, 4]), np.arange(9.0).reshape(3, 3))
    problem = LinearTasks(
        [[lookup, np.array([1.0])], [None, np.array([-1.0])]], shapes=[(ROWS, WIDTH), (1,)]
    )
    update = problem.backward(surgery_class("mean"))
    np.testing.assert_array_equal(update[0].indices, lookup[0])
    np.testing.assert_array_equal(update[0].values, lookup[1])


def test_a_table_that_only_empty_lookups_reach(surgery_class):
    nothing = (np.zeros(0, np.int64), np.zeros((0, WIDTH)))
    ones = np.array([1.0, 2.0])
    problem = LinearTasks([[nothing, ones], [nothing, -2 * ones]], shapes=[(ROWS, WIDTH), (2,)])
    update = problem.backward(surgery_class("sum"))
    assert is_sparse(update[0])
    assert update[0].values.shape == (0, WIDTH)
    np.testing.assert_allclose(update[1], [0, 0], atol=1e-6)


@pytest.mark.parametrize("width", [1, 100, 512, 700])
def test_a_table_of_which_every_row_is_looked_up(surgery_class, width):
    """As many rows as there can be, of any width: none is left out."""
    rng = np.random.default_rng(0)
    found = [
        (np.array(indices), rng.integers(-3, 4, size=(len(indices), width)).astype(float))
        for indices in ([2, 0, 1, 1], [0, 1, 2], [1, 2, 0, 0])
    ]
    problem = LinearTasks([[lookup] for lookup in found], shapes=[(3, width)])
    gradients = [[dense(lookup, 3)] for lookup in found]
    expected = reference.update(gradients, projection_orders(0, 0, 3).numpy().tolist(), "sum")
    for step in (problem.backward, tf.function(problem.backward)):
        assert_update(step(surgery_class("sum", seed=0), step=0), expected, gradients)


@pytest.mark.parametrize("kind", ["outputs of one operation", "drawn anew"])
def test_lookups_that_look_alike_in_the_graph(surgery_class, kind):
    """Two tasks' rows come from operations with the same attributes, and are not the same."""
    table = tf.Variable(tf.zeros([1000, 1]))

    @tf.function(autograph=False)
    def step(pair):
        if kind == "drawn anew":
            limits = {"shape": [4], "minval": 0, "maxval": 1000}
            first, second = (tf.raw_ops.RandomUniformInt(**limits) for _ in range(2))
        else:
            first, second = tf.unstack(pair)
        with tf.GradientTape(persistent=True) as tape:
            losses = [tf.reduce_sum(tf.gather(table, rows)) for rows in (first, second)]
        update = surgery_class("sum").pc_backward(tape, losses, [table], step=0)[0]
        return tf.convert_to_tensor(update), first, second

    update, *rows = step(tf.constant([[1, 2, 3, 4], [7, 8, 9, 1]]))
    expected = np.zeros((1000, 1))
    np.add.at(expected, np.concatenate(rows), 1)
    np.testing.assert_allclose(update, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 2), (ROWS, 2, 2)])
def test_tables_of_any_rank(surgery_class, shape):
    rng = np.random.default_rng(0)
    found = [
        (np.array(indices), rng.integers(-3, 4, size=(len(indices), *shape[1:])).astype(float))
        for indices in ([1, 1, 0], [5, 0], [1])
    ]
    problem = LinearTasks([[lookup] for lookup in found], shapes=[shape])
    gradients = [[dense(lookup)] for lookup in found]
    expected = reference.update(gradients, projection_orders(0, 0, 3).numpy().tolist(), "sum")
    update = problem.backward(surgery_class("sum", seed=0), step=0)
    assert is_sparse(update[0])
    assert_update(update, expected, gradients)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_the_tables_dtype_is_kept(surgery_class, dtype):
    found = [(np.array([2, 2]), np.full((2, 1), 200.0)), (np.array([2]), np.full((1, 1), -200.0))]
    problem = LinearTasks([[lookup] for lookup in found], shapes=[(ROWS, 1)], dtypes=dtype)
    update = problem.backward(surgery_class("sum"))
    assert update[0].values.dtype == dtype
    np.testing.assert_allclose(tf.cast(update[0].values, tf.float64), [[0.0]], atol=1e-3)


def test_indices_of_different_integer_types(surgery_class):
    found = [
        (np.array([0, 2], np.int32), np.ones((2, WIDTH))),
        (np.array([2], np.int64), -np.ones((1, WIDTH))),
    ]
    problem = LinearTasks([[lookup] for lookup in found], shapes=[(ROWS, WIDTH)])
    gradients = [[dense(lookup)] for lookup in found]
    expected = reference.update(gradients, [[1], [0]], "sum")
    assert_update(problem.backward(surgery_class("sum")), expected, gradients)


def test_nothing_has_the_size_of_the_table(surgery_class):
    """Neither memory nor time may grow with it: no tensor in the graph has its row count."""
    rows = 100_003
    found = [
        (np.array([5, 100_002, 5]), np.ones((3, 2))),
        (np.array([7, 5]), -np.ones((2, 2))),
        (np.array([100_002]), np.ones((1, 2))),
    ]
    problem = LinearTasks([[lookup] for lookup in found], shapes=[(rows, 2)])
    surgery = surgery_class("sum", seed=0)
    traced = tf.function(lambda: problem.backward(surgery, step=0)[0])
    graph = traced.get_concrete_function().graph
    dimensions = {
        size
        for operation in graph.get_operations()
        for output in operation.outputs
        for size in (output.shape.as_list() if output.shape.rank is not None else [])
    }
    assert dimensions  # the walk over the graph saw something
    assert rows not in dimensions
    update = traced()
    assert is_sparse(update)
    assert update.values.shape == (3, 2)
    np.testing.assert_array_equal(update.dense_shape, [rows, 2])
