"""One forward pass serves all tasks: layers that draw or keep statistics act once a step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import reference
from multitask_models import assert_same, product
from pcgrad import projection_orders
from pcgrad.keras import MultiTaskModel

ROWS, WIDTH, RATE, TASKS = 12, 8, 0.5, "abc"
X = np.random.default_rng(0).normal(1, 2, size=(ROWS, WIDTH)).astype(np.float32)


class Passes(keras.layers.Layer):
    """Counts its calls as they are executed, not as they are traced."""

    def build(self, input_shape):
        self.count = self.add_weight(initializer="zeros", trainable=False)

    def call(self, inputs):
        self.count.assign_add(1.0)
        return inputs


def test_a_step_is_one_forward_pass(mode):
    inputs = keras.Input((WIDTH,))
    passes = Passes()
    shared = keras.layers.Dense(2)(passes(inputs))
    outputs = {task: keras.layers.Dense(1, name=task)(shared) for task in TASKS}
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", loss="mse", **mode)
    y = {task: X[:, i] for i, task in enumerate(TASKS)}
    model.fit(X, y, batch_size=ROWS // 3, epochs=2, verbose=0)
    assert float(passes.count) == 2 * 3


def test_moving_statistics_move_once(mode, surgery_class):
    inputs = keras.Input((WIDTH,))
    normalization = keras.layers.BatchNormalization(momentum=0.9)
    shared = normalization(inputs)
    outputs = {task: keras.layers.Dense(1, name=task)(shared) for task in TASKS}
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", loss="mse", surgery=surgery_class(), **mode)
    y = {task: np.ones(ROWS, np.float32) for task in TASKS}
    y["a"][:5] = np.nan  # the whole batch is passed forward all the same
    model.train_on_batch(X, y)
    np.testing.assert_allclose(normalization.moving_mean, 0.1 * X.mean(axis=0), rtol=1e-5)
    variance = 0.9 + 0.1 * X.var(axis=0)
    np.testing.assert_allclose(normalization.moving_variance, variance, rtol=1e-5)
    model.evaluate(X, y, verbose=0)
    np.testing.assert_allclose(normalization.moving_variance, variance, rtol=1e-5)


def test_all_tasks_have_the_same_dropout(mode):
    """Each task's gradient is its label times the mask, so the cosines tell whether they agree."""
    inputs = keras.Input((WIDTH,))
    dropped = keras.layers.Dropout(RATE, seed=1)(inputs)
    trunk = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    shared = trunk(dropped)
    outputs = {task: keras.layers.Identity(name=task)(shared) for task in TASKS}
    model = MultiTaskModel(inputs, outputs)
    model.compile(keras.optimizers.SGD(1.0), dict.fromkeys(TASKS, product), **mode)
    model.follows_conflicts = True
    y = {
        task: np.full((1, 1), label, np.float32)
        for task, label in zip(TASKS, (1, 2, -4), strict=True)
    }
    model.train_on_batch(np.ones((1, WIDTH), np.float32), y)
    cosines = {"".join(pair["tasks"]): pair["mean_cosine"] for pair in model.conflicts()}
    assert cosines == pytest.approx({"ab": 1, "ac": -1, "bc": -1})
    kept = -trunk.kernel.numpy()[:, 0] * RATE / (1 + 2 - 4)
    assert set(kept.round(6)) == {0, 1}


def random_model(cls: type[keras.Model]) -> keras.Model:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((WIDTH,))
    shared = keras.layers.Dense(6, activation="tanh")(inputs)
    shared = keras.layers.BatchNormalization()(shared)
    shared = keras.layers.Dropout(RATE, seed=3)(shared)
    shared = keras.layers.Dense(4)(keras.layers.GaussianNoise(0.3, seed=4)(shared))
    return cls(inputs, {task: keras.layers.Dense(1, name=task)(shared) for task in TASKS})


def test_the_update_is_that_of_one_forward_pass(surgery_class):
    """By hand: the tasks' gradients through the same masks, noise and statistics, projected."""
    y = {task: X[:, i : i + 1] * (-3) ** i for i, task in enumerate(TASKS)}
    twin = random_model(keras.Model)
    variables = twin.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        outputs = twin(X, training=True)
        losses = [tf.reduce_mean((outputs[task] - y[task]) ** 2) for task in TASKS]
    gradients = [
        [None if one is None else one.numpy() for one in tape.gradient(loss, variables)]
        for loss in losses
    ]
    update = reference.update(gradients, projection_orders(7, 0, 3).numpy().tolist())
    expected = [
        variable.numpy() - 0.1 * change for variable, change in zip(variables, update, strict=True)
    ]
    model = random_model(MultiTaskModel)
    surgery = surgery_class("sum", seed=7)
    model.compile(keras.optimizers.SGD(0.1), loss="mse", surgery=surgery, run_eagerly=True)
    model.train_on_batch(X, y)
    assert sum(pair["conflicting"] for pair in model.conflicts()) > 0
    assert_same(model.trainable_variables, expected, tolerance=1e-5)
    # Also the statistics and the seeds' states: what is drawn next is the same.
    assert_same(model.non_trainable_variables, twin.non_trainable_variables)
