"""Biases whose inner products are taken with their kernels', and such that look alike."""

import pytest
import tensorflow as tf

from pcgrad.layerwise import stacking
from pcgrad.layerwise.cost import most_rows
from small_graphs import INPUTS, OUTPUTS, N, compare, data, route, targets, variable

MANY = most_rows(INPUTS, OUTPUTS, 3) + 1


@pytest.fixture(autouse=True, params=[0, 10**9])
def at_once(request, monkeypatch):
    """All tasks at once, though the kernels are small; and one by one."""
    monkeypatch.setattr(stacking, "_WORTH_VECTORIZING", request.param)
    return request.param == 0


@pytest.fixture
def w():
    return variable(INPUTS, OUTPUTS, name="w")


@pytest.fixture
def b():
    return variable(OUTPUTS, seed=1, name="b")


def rows(count=N, known=True):
    x = data(count, INPUTS)
    return x if known else tf.compat.v1.placeholder_with_default(x, [None, INPUTS])


ADDED = {
    "BiasAdd": tf.nn.bias_add,
    "sum": lambda z, b: z + b,
    "reversed sum": lambda z, b: b + z,
    "through other operations": lambda z, b: z + tf.identity(tf.cast(b, z.dtype)),
}


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize(("count", "known"), [(N, True), (N, False), (MANY, False)])
def test_a_bias_goes_with_its_kernel(w, b, added, count, known):
    """With few rows and with many, in whatever order the variables come."""

    def losses(_):
        return targets(tf.nn.relu(ADDED[added](tf.matmul(rows(count, known), w), b)))

    assert route(compare(losses, [w, b]), "b") == "with w:0"
    assert route(compare(losses, [b, w]), "b") == "with w:0"


def test_many_rows_that_are_known(w, b, at_once):
    """One by one, such a kernel has its gradients from the tape; so has its bias."""
    found = compare(lambda _: targets(tf.nn.relu(tf.matmul(rows(MANY), w) + b)), [w, b])
    assert route(found, "b") == ("with w:0" if at_once else "tape (AddV2)")


def test_sequences(w, b, at_once):
    """One by one, each task's gradient by the kernel is formed."""
    x = data(MANY, 2, INPUTS)
    found = compare(lambda _: targets(tf.reduce_sum(tf.tanh(tf.matmul(x, w) + b), 1)), [w, b])
    assert route(found, "b") == ("with w:0" if at_once else "tape (AddV2)")


def test_a_kernel_and_its_bias_that_are_used_twice(b):
    w = variable(OUTPUTS, OUTPUTS, name="w")
    x = data(N, OUTPUTS)

    def losses(_):
        return targets(tf.tanh(tf.matmul(tf.tanh(tf.matmul(x, w) + b), w) + b))

    assert route(compare(losses, [w, b]), "b") == "with w:0"


def test_biases_of_some_tasks_only(b):
    """The first layer is everybody's, the second one that of two tasks, the third one of one."""
    kernels = [variable(OUTPUTS, OUTPUTS, seed=i, name=f"w{i}") for i in range(3)]
    biases = [variable(OUTPUTS, seed=i + 5, name=f"b{i}") for i in range(3)]
    x = data(N, OUTPUTS)

    def losses(_):
        shared, some, own = (
            lambda h, w=w, b=b: tf.tanh(tf.matmul(h, w) + b)
            for w, b in zip(kernels, biases, strict=True)
        )
        h = shared(x)
        return [tf.reduce_sum(own(h)), *targets(some(h), tasks=2), tf.reduce_mean(h**2)]

    found = compare(losses, [*biases, *kernels])
    assert route(found, "b0") == "with w0:0"
    assert route(found, "b1") == "with w1:0"
    assert "b2" not in found


def test_a_task_whose_gradient_stops(w, b):
    other = variable(OUTPUTS)

    def losses(_):
        h = tf.tanh(tf.matmul(rows(), w) + b)
        first, second = targets(h, tasks=2)
        return [first, tf.reduce_sum(tf.stop_gradient(h) * other), second]

    assert route(compare(losses, [w, b, other]), "b") == "with w:0"


def test_what_looks_alike(w, b):
    """Each of these has its gradient by the bias from the tape."""
    square, other = variable(OUTPUTS, OUTPUTS, name="w"), variable(INPUTS, OUTPUTS, seed=2)
    x, y = data(N, OUTPUTS), data(N, INPUTS)

    def layer(h, kernel):
        return tf.tanh(tf.matmul(h, kernel) + b)

    def linear_output_used_twice(_):
        z = tf.matmul(y, w)
        return targets(tf.tanh(z + b) + z)

    def added_twice(_):
        z = tf.matmul(y, w)
        return targets(tf.tanh(z + b) * (z + b))

    def two_layers(_):
        return targets(layer(y, w) * layer(y, other))

    def stopped(_):
        return targets(layer(y, w) + tf.tanh(tf.matmul(y, w) + tf.stop_gradient(b)))

    def regularized(_):
        first, *others = targets(layer(y, w))
        return [first + tf.reduce_sum(b**2), *others]

    def reshaped(_):
        return targets(tf.reshape(tf.reshape(tf.matmul(y, w), [2, -1, OUTPUTS]) + b, [N, -1]))

    def once_without_it(_):
        return targets(tf.matmul(layer(x, square), square))

    def output_is_a_loss(_):
        """It has one use only, but its gradient is not the sum's alone."""
        z = tf.matmul(layer(x, square), square)
        return [z, *targets(tf.tanh(z + b), 2)]

    def other_dimension(_):
        z = tf.matmul(tf.reshape(data(N * OUTPUTS, INPUTS), [N, OUTPUTS, INPUTS]), w)
        return targets(tf.reduce_sum(tf.tanh(tf.nn.bias_add(z, b, data_format="NCHW")), 2))

    def unseen_read(tape):
        with tape.stop_recording():
            value = tf.identity(b)
        return targets(layer(y, w) + tf.tanh(tf.matmul(y, w) + value))

    def added_to_a_number(_):
        return targets(tf.tanh(tf.matmul(y, w) + (b + 1)))

    with_w = [linear_output_used_twice, added_twice, two_layers, stopped, regularized, reshaped]
    for losses in [*with_w, other_dimension, unseen_read, added_to_a_number]:
        assert route(compare(losses, [w, b, other]), "b").startswith("tape ("), losses.__name__
    for losses in [once_without_it, output_is_a_loss]:
        assert route(compare(losses, [square, b]), "b") == "tape (AddV2)", losses.__name__


def test_a_linear_output_that_is_repeated(b):
    """Of one column, to each element of the bias."""
    w = variable(INPUTS, 1, name="w")
    found = compare(lambda _: targets(tf.tanh(tf.matmul(rows(), w) + b)), [w, b])
    assert route(found, "b") == "tape (AddV2)"


def test_a_matrix_that_is_added(w):
    """As many rows as columns."""
    added = variable(OUTPUTS, OUTPUTS, name="added")
    found = compare(lambda _: targets(tf.tanh(tf.matmul(rows(OUTPUTS), w) + added)), [w, added])
    assert route(found, "added") == "tape (AddV2)"


def test_a_vector_that_is_added_and_looked_up(w, b):
    def losses(_):
        return targets(tf.tanh(tf.matmul(rows(), w) + b) * tf.gather(b, [1]))

    assert route(compare(losses, [w, b]), "b") == "tape (addition and lookup)"


def test_a_part_of_the_layer_that_the_tape_has_not_seen(w, b):
    """Then the kernel goes by the tape, and with it the bias."""

    def losses(tape):
        h = tf.tanh(tf.matmul(rows(), w) + b)
        with tape.stop_recording():
            hidden = tf.matmul(rows(), w) + b
        return targets(h + hidden)

    found = compare(losses, [w, b])
    assert route(found, "w") == "tape (part of it out of the tape's sight)"
    assert route(found, "b") == "tape (AddV2)"
