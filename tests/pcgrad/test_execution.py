"""Eager mode, graphs with and without AutoGraph, and XLA give the same update."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import reference
from pcgrad import PCGrad, projection_orders
from problems import LinearTasks, as_arrays, assert_update

MODES: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "eager": lambda function: function,
    "autograph": lambda function: tf.function(function, autograph=True),
    "no-autograph": lambda function: tf.function(function, autograph=False),
    "xla": lambda function: tf.function(function, jit_compile=True),
}
TASKS, ROWS, WIDTH = 4, 7, 2


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return MODES[request.param]


def mixed_problem() -> tuple[LinearTasks, list[list[np.ndarray | None]]]:
    """Trunk, one head for each task, an embedding table; with the dense gradients."""
    rng = np.random.default_rng(8)
    rows, dense = [], []
    for task in range(TASKS):
        trunk = rng.normal(size=(3, 2))
        heads = [np.array([1.0 + task]) if head == task else None for head in range(TASKS)]
        indices = rng.integers(0, ROWS, size=task)  # the first task looks nothing up
        looked_up = rng.normal(size=(task, WIDTH))
        table = np.zeros((ROWS, WIDTH))
        np.add.at(table, indices, looked_up)
        rows.append([trunk, *heads, (indices, looked_up)])
        dense.append([trunk, *heads, table])
    shapes = [(3, 2), *[(1,)] * TASKS, (ROWS, WIDTH)]
    return LinearTasks(rows, shapes), dense


def test_every_mode_equals_the_reference(surgery_class, mode):
    """Dense, sparse and task-specific variables; the step is an argument of the graph."""
    problem, gradients = mixed_problem()
    surgery = surgery_class("sum", seed=6)
    function = mode(lambda step: problem.backward(surgery, step=step))
    for step in range(4):
        update = function(tf.constant(step, tf.int64))
        assert isinstance(update[-1], tf.IndexedSlices)
        orders = projection_orders(6, step, TASKS).numpy().tolist()
        assert_update(update, reference.update(gradients, orders), gradients)


def test_every_mode_counts_the_same_steps(surgery_class, mode):
    problem, gradients = mixed_problem()
    surgery = surgery_class("mean", seed=6)
    function = mode(lambda: problem.backward(surgery))
    for step in range(4):
        orders = projection_orders(6, step, TASKS).numpy().tolist()
        assert_update(function(), reference.update(gradients, orders, "mean"), gradients)


def test_the_simultaneous_projection_in_every_mode(surgery_class, mode):
    problem, gradients = mixed_problem()
    surgery = surgery_class("sum", projection="simultaneous")
    update = mode(lambda: problem.backward(surgery))()
    changed = reference.simultaneously_projected(reference.shared_vectors(gradients))
    assert_update(update, reference.merge(gradients, changed), gradients)


def test_the_packed_form_in_every_mode(surgery_class, mode):
    problem, _ = mixed_problem()
    surgery = surgery_class("mean", seed=6)
    expected = as_arrays(problem.backward(surgery, step=2))

    def three_steps() -> list[tf.Tensor]:
        grads, shapes, masks = surgery.pack_grad(*problem.tape(), problem.variables)
        return surgery.unpack_grad(surgery.project_conflicting(grads, masks, step=2), shapes)

    for actual, wanted in zip(mode(three_steps)(), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)


def test_missing_gradients_are_none_in_every_mode(surgery_class, mode):
    gradients = [[np.array([1.0]), None], [np.array([-2.0]), None]]
    problem = LinearTasks(gradients)
    surgery = surgery_class("sum")
    missing = []

    def step() -> tf.Tensor:
        update = problem.backward(surgery)
        missing.append(update[1])
        return update[0]

    np.testing.assert_allclose(mode(step)(), [0.0], atol=1e-6)
    assert set(missing) == {None}


def two_headed_model() -> keras.Model:
    inputs = keras.Input((3,))
    trunk = keras.layers.Dense(5, activation="relu")(inputs)
    return keras.Model(inputs, [keras.layers.Dense(4)(trunk), keras.layers.Dense(4)(trunk)])


def one_headed_model() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])


@pytest.mark.parametrize("outputs", [one_headed_model, two_headed_model])
def test_a_whole_training_step_in_every_mode(surgery_class, mode, outputs):
    """Several steps with an optimizer, losses left unreduced; the last loss is the judge."""
    model = outputs()
    x = tf.random.stateless_normal([8, 3], seed=[0, 1])
    ys = [tf.argmax(x @ tf.random.stateless_normal([3, 4], seed=[k, 2]), axis=1) for k in range(2)]
    optimizer = keras.optimizers.SGD(0.02)
    optimizer.build(model.trainable_variables)
    surgery = surgery_class(reduction="mean", seed=0)

    def losses() -> list[tf.Tensor]:
        logits = model(x)
        logits = logits if isinstance(logits, list) else [logits, logits]
        cross_entropy = keras.losses.sparse_categorical_crossentropy
        return [cross_entropy(y, z, from_logits=True) for y, z in zip(ys, logits, strict=True)]

    def step() -> tf.Tensor:
        with tf.GradientTape(persistent=True) as tape:
            by_task = losses()
        grads = surgery.pc_backward(tape, by_task, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        return tf.reduce_sum(tf.add_n(by_task))

    function = mode(step)
    before = [variable.numpy() for variable in model.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        by_task = losses()
    expected = PCGrad(seed=0).pc_backward(tape, by_task, model.trainable_variables, step=0)
    first = function()
    for variable, old, gradient in zip(model.trainable_variables, before, expected, strict=True):
        np.testing.assert_allclose(variable, old - 0.02 * gradient, rtol=1e-5, atol=1e-6)
    for _ in range(20):
        last = function()
    assert last < first
