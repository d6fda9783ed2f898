"""Which variable goes which way in graphs that are easy to get wrong; always the tape's result."""

import numpy as np
import pytest
import tensorflow as tf

from pcgrad import combine, equal_weights, gram_matrix, task_gradients
from pcgrad.layerwise import layerwise_gradients, stacking
from pcgrad.layerwise.forward_graph import ancestors
from small_graphs import INPUTS, OUTPUTS, N, compare, data, route, targets, variable


@pytest.fixture(autouse=True)
def _even_if_small(monkeypatch):
    """Kernels as small as these are otherwise differentiated task by task."""
    monkeypatch.setattr(stacking, "_WORTH_VECTORIZING", 0)


def test_a_dense_layer():
    w, b = variable(INPUTS, OUTPUTS, name="w"), variable(OUTPUTS, name="b")
    x = data(N, INPUTS)
    found = compare(lambda _: targets(tf.nn.relu(tf.matmul(x, w) + b)), [w, b])
    assert "all tasks at once" in found
    assert route(found, "w") == f"product, by rows ({N} rows)"
    assert route(found, "b") == "with w:0"


def test_the_gradients_of_the_kernel_are_not_formed():
    """In the graph that runs, nothing has the size of the kernel but the kernel and its update."""
    x = data(N, INPUTS)

    def largest(way):
        w = variable(INPUTS, OUTPUTS)

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape(persistent=True) as tape:
                losses = targets(tf.nn.relu(tf.matmul(x, w)), tasks=7)
            found = way(tape, losses, [w])
            return combine(found, equal_weights(gram_matrix(found)))

        made = step.get_concrete_function()
        # Those that the result needs; TensorFlow prunes the others before it runs the graph.
        needed = ancestors([made.outputs[0].op])
        return sum(
            output.shape.rank is not None and output.shape.num_elements() == INPUTS * OUTPUTS
            for operation in needed
            for output in operation.outputs
        )

    assert largest(task_gradients) > 7
    assert largest(layerwise_gradients) <= 4


def test_a_kernel_that_is_used_twice():
    w = variable(INPUTS, INPUTS, name="w")
    x = data(N, INPUTS)
    found = compare(lambda _: targets(tf.matmul(tf.tanh(tf.matmul(x, w)), w)), [w])
    assert route(found, "w") == f"product, by rows ({2 * N} rows)"


def test_a_table_that_is_looked_up_twice_and_in_its_own_head():
    table, w = variable(20, INPUTS, name="table"), variable(INPUTS, OUTPUTS, name="w")
    ids = tf.constant([[3, 3], [1, 4], [3, 0], [19, 2]])

    def losses(_):
        rows = tf.nn.embedding_lookup(table, ids)
        features = tf.matmul(tf.reduce_sum(rows, axis=1), w)
        return targets(features + tf.reduce_mean(tf.gather(table, ids[:, 0])))

    found = compare(losses, [table, w])
    assert route(found, "table") == "lookup"
    assert "all tasks at once" in found

    def tied(tape):
        """The table is the last layer's kernel, too, as in language models."""
        features = tf.matmul(tf.nn.embedding_lookup(table, ids[:, 0]), w)[:, :INPUTS]
        features = tf.pad(features, [[0, 0], [0, INPUTS - OUTPUTS]])
        return targets(tf.matmul(features, table, transpose_b=True))

    assert route(compare(tied, [table, w]), "table") == "tape (MatMul)"


def test_a_table_that_is_looked_up_with_integers_of_two_widths():
    table, w = variable(20, INPUTS, name="table"), variable(INPUTS, OUTPUTS)
    ids = tf.constant([3, 1, 3, 19])

    def losses(_):
        rows = tf.gather(table, ids) * tf.gather(table, tf.cast(ids, tf.int64) // 2)
        return targets(tf.matmul(rows, w))

    found = compare(losses, [table, w])
    assert route(found, "table") == "lookup"
    assert "all tasks at once" in found


def test_columns_that_are_looked_up():
    """And rows of each matrix of several: what is looked up are no rows of the variable."""
    square, stacked = (
        variable(INPUTS, INPUTS, name="square"),
        variable(N, 6, INPUTS, name="stacked"),
    )
    w = variable(INPUTS, OUTPUTS, name="w")
    ids, by_matrix = tf.constant([3, 3, 0, 19]), tf.constant([[0], [5], [5], [2]])

    def columns(_):
        return targets(tf.matmul(tf.transpose(tf.gather(square, ids, axis=1)), w))

    def columns_from_the_end(_):
        return targets(tf.matmul(tf.transpose(tf.gather(square, ids, axis=-1)), w))

    def by_batch(_):
        rows = tf.gather(stacked, by_matrix, batch_dims=1)
        return targets(tf.matmul(tf.reshape(rows, [N, INPUTS]), w))

    def elements(_):
        return targets(tf.matmul(tf.gather_nd(stacked, [[0, 5], [1, 2], [1, 2], [3, 0]]), w))

    for losses in (columns, columns_from_the_end):
        assert route(compare(losses, [square, w]), "square") == "tape (GatherV2)", losses.__name__
    for losses in (by_batch, elements):
        assert route(compare(losses, [stacked, w]), "stacked").startswith("tape (")


def test_variables_of_some_tasks_only():
    """The first kernel is everybody's, the second one that of two tasks, the third one of one."""
    shared, some, own = variable(30, 30), variable(30, 28), variable(30, 3)
    x = data(N, 30)

    def losses(_):
        features = tf.tanh(tf.matmul(x, shared))
        first = targets(tf.matmul(features, some), tasks=2)
        return [*first, tf.reduce_sum(tf.matmul(features, own)), tf.reduce_mean(features**2)]

    found = compare(losses, [shared, some, own])
    assert "all tasks at once" in found
    assert len(found.splitlines()) == 3  # the own one is not shared


def test_features_of_which_one_depends_on_the_other():
    """The gradient by the first one holds that by the second one: must not be counted twice."""
    first, second = variable(30, 30), variable(30, 30)
    x = data(N, 30)

    def losses(_):
        low = tf.tanh(tf.matmul(x, first))
        high = tf.tanh(tf.matmul(low, second))
        return [tf.reduce_sum(low * 0.3) + tf.reduce_sum(high), tf.reduce_mean(low * high)]

    assert "one of which depends on another" in compare(losses, [first, second])


def test_a_loss_that_another_loss_contains():
    w = variable(30, 30)
    x = data(N, 30)

    def losses(_):
        first = tf.reduce_sum(tf.tanh(tf.matmul(x, w)))
        return [first, first * first + 1.0]

    compare(losses, [w])


def test_a_kernel_in_the_trunk_and_in_a_head():
    w = variable(30, 30, name="w")
    x = data(N, 30)

    def losses(_):
        features = tf.tanh(tf.matmul(x, w))
        return [tf.reduce_sum(tf.matmul(features, w)), tf.reduce_mean(features**2)]

    found = compare(losses, [w])
    assert "used by all tasks together and by one alone" in found
    assert route(found, "w") == f"product, by rows ({2 * N} rows)"


def test_what_the_tape_has_not_seen():
    """Stopped recordings and gradients, gradients of one's own, variables not watched."""
    w, v = variable(30, 30, name="w"), variable(30, 30, name="v")
    x = data(N, 30)

    def stopped(tape):
        features = tf.tanh(tf.matmul(x, w))
        with tape.stop_recording():
            hidden = tf.matmul(features, w)
        return targets(features + hidden + tf.stop_gradient(tf.matmul(features, w)))

    assert route(compare(stopped, [w]), "w") == "tape (part of it out of the tape's sight)"

    def read_unseen(tape):
        """The gradient by the second product's output is known, but leads nowhere."""
        with tape.stop_recording():
            value = tf.identity(w)
        return targets(tf.matmul(tf.tanh(tf.matmul(x, w)), value))

    assert route(compare(read_unseen, [w]), "w") == "tape (part of it out of the tape's sight)"

    @tf.custom_gradient
    def own(value):
        def gradient(upstream, variables=None):
            return upstream * 2.0, [tf.ones_like(w) for _ in variables]

        return tf.matmul(value, w), gradient

    found = compare(lambda _: targets(own(tf.matmul(x, w))), [w])
    assert route(found, "w").startswith("tape (")

    def watched(tape):
        tape.watch(v)
        return targets(tf.matmul(tf.matmul(x, v), w))

    unwatched = {"watch_accessed_variables": False}
    found = compare(watched, [w, v], tape_arguments=unwatched)
    assert len(found.splitlines()) == 2  # v alone


def test_reads_outside_of_the_function():
    w = variable(30, 30)
    x = data(N, 30)

    def losses(_):
        return targets(tf.function(lambda: tf.matmul(x, w))() + tf.matmul(x, w))

    assert "tape (" in compare(losses, [w])


def test_a_loop():
    w = variable(30, 30, name="w")
    x = data(N, 30)

    def losses(_):
        _, features = tf.while_loop(
            lambda i, _: i < 3,
            lambda i, h: (i + 1, tf.tanh(tf.matmul(h, w))),
            (0, tf.tanh(tf.matmul(x, w))),
        )
        return targets(features)

    assert route(compare(losses, [w]), "w").startswith("tape (")


def test_transposed_products_and_products_with_oneself():
    w, v = variable(30, 30, name="w"), variable(30, 30, name="v")
    x = data(N, 30)

    def losses(_):
        same = tf.identity(v)
        return targets(tf.matmul(x, w, transpose_b=True) + tf.matmul(x, tf.matmul(same, same)))

    found = compare(losses, [w, v])
    assert route(found, "w") == "tape (MatMul)"
    assert route(found, "v") == "tape (MatMul)"


def test_small_kernels_are_differentiated_task_by_task(monkeypatch):
    monkeypatch.undo()
    w = variable(INPUTS, OUTPUTS, name="w")
    x = data(N, INPUTS)
    found = compare(lambda _: targets(tf.matmul(x, w)), [w])
    assert "task by task (kernels are small)" in found
    assert route(found, "w") == f"product, by rows ({N} rows)"


def test_eager_mode_and_a_single_task():
    w = variable(30, 30)
    x = data(N, 30)
    assert "eager mode" in compare(lambda _: targets(tf.matmul(x, w)), [w], eager=True)
    assert "single task" in compare(lambda _: targets(tf.matmul(x, w), tasks=1), [w])


def test_under_a_strategy():
    """With several replicas G is not the sum of the replicas' G: the tape's way there."""
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        w = tf.Variable(np.ones((INPUTS, OUTPUTS)), dtype=tf.float64)
    x = data(N, INPUTS)
    described = []

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape(persistent=True) as tape:
            losses = targets(tf.matmul(x, w))
        described.append(layerwise_gradients(tape, losses, [w]).describe())

    strategy.run(step)
    assert described[0].startswith("tape: under a tf.distribute strategy")


def test_a_trunk_that_ends_with_complex_numbers():
    """They are no floating-point tensors, but gradients pass them."""
    w = variable(INPUTS, OUTPUTS, name="w")
    x = data(N, INPUTS)

    def losses(_):
        features = tf.matmul(x, w)
        numbers = tf.cast(features, tf.complex128)
        return [
            tf.reduce_sum(tf.abs(numbers + 1j)),
            tf.reduce_sum(tf.math.real(numbers * (2 + 1j))),
        ]

    assert "other than real numbers" in compare(losses, [w])
    mixed = compare(lambda _: [*losses(_), tf.reduce_sum(tf.matmul(x, w) ** 2)], [w])
    assert "product" in route(mixed, "w")


@pytest.mark.filterwarnings("ignore:.* reaches none of `variables`")
def test_a_task_whose_gradient_stops_before_the_trunk():
    """It depends on the trunk, and reaches none of the trunk's variables."""
    w, b, table = variable(INPUTS, OUTPUTS), variable(OUTPUTS), variable(7, INPUTS)
    ids = tf.constant([0, 3, 3, 6])

    def losses(_):
        rows = tf.nn.embedding_lookup(table, ids)
        features = tf.tanh(tf.matmul(rows, w) + b)
        first, second = targets(features, tasks=2)
        stopped = tf.reduce_sum(tf.stop_gradient(features) * b)
        return [first, stopped, second]

    assert "all tasks at once" in compare(losses, [table, w])
    compare(losses, [table, w, b])
