"""`RaiseOnDivergence` says where a diverging training began."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel, RaiseOnDivergence
from pcgrad.keras.divergence import has_diverged

ROWS, BATCH = 40, 10


def compiled(losses, learning_rate=0.01):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(5, "tanh")(inputs)
    outputs = {name: keras.layers.Dense(1)(shared) for name in losses}
    model = MultiTaskModel(inputs, outputs)
    model.compile(keras.optimizers.SGD(learning_rate), loss=losses, surgery=PCGrad("sum", seed=0))
    return model


def data(names):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 4)).astype("float32")
    return x, {name: generator.normal(size=(ROWS, 1)).astype("float32") for name in names}


def fit(model, x, y, **arguments):
    return model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[RaiseOnDivergence()],
        **arguments,
    )


def test_training_that_converges_goes_on():
    model = compiled({"a": "mse", "b": "mse"})
    assert len(fit(model, *data("ab"), epochs=3).history["loss"]) == 3
    assert not has_diverged(model)


def test_an_infinite_loss_names_task_and_step():
    x, y = data("abc")
    y["b"][25] = np.inf
    model = compiled(dict.fromkeys("abc", "mse"))
    fit(model, x, {**y, "b": np.nan_to_num(y["b"], posinf=0)})
    message = r"^training diverged in step 7: the gradient of task 'b' is not finite; lower"
    with pytest.raises(FloatingPointError, match=message):
        fit(model, x, y)


def root_loss(labels, predictions):
    """Its gradient, unlike itself, is infinite where the prediction is right."""
    return tf.sqrt(tf.abs(labels - predictions))


def test_a_gradient_that_is_not_finite_names_task_and_step():
    x, y = data("abc")
    x[25] = 0
    y["c"][25] = 0
    # The row's hidden units and, without a trained bias, its predictions are 0.
    model = compiled({"a": "mse", "b": "mse", "c": root_loss}, learning_rate=0.0)
    with pytest.raises(
        FloatingPointError, match=r"diverged in step 3: the gradient of task 'c' is"
    ):
        fit(model, x, y)


def test_steps_whose_gradients_are_accumulated():
    x, y = data("ab")
    x[25] = np.inf
    model = compiled({"a": "mse", "b": "mse"})
    optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=2)
    model.compile(optimizer, loss={"a": "mse", "b": "mse"}, surgery=PCGrad("sum", seed=0))
    with pytest.raises(FloatingPointError, match="diverged in step 3"):
        fit(model, x, y)


def test_several_tasks_at_once():
    x, y = data("abc")
    x[5] = np.inf
    with pytest.raises(FloatingPointError, match="step 1: the gradient of tasks 'a', 'b', 'c' is"):
        fit(compiled(dict.fromkeys("abc", "mse")), x, y)
    y["a"][5] = y["c"][5] = np.inf
    with pytest.raises(FloatingPointError, match="step 1: the gradient of task 'a' and task 'c'"):
        fit(compiled(dict.fromkeys("abc", "mse")), data("abc")[0], y)


def test_a_single_task():
    x, y = data("a")
    y["a"][5] = np.inf
    with pytest.raises(FloatingPointError, match="diverged in step 1: `a_loss` is not finite"):
        fit(compiled({"a": "mse"}), x, y)


def test_a_loss_of_validation():
    x, y = data("ab")
    wrong = {**y, "b": y["b"] + np.float32(3e38)}
    with pytest.raises(FloatingPointError, match="diverged in step 4: `val_b_loss` is not finite"):
        fit(compiled({"a": "mse", "b": "mse"}), x, y, validation_data=(x, wrong))


def test_weights_after_the_last_step():
    """The losses, which precede it, are finite."""
    model = compiled({"a": "mse", "b": "mse"}, learning_rate=1e38)
    x, y = data("ab")
    with pytest.raises(FloatingPointError, match="diverged in step 1: a weight is not finite"):
        fit(model, x[:BATCH] * 100, {name: label[:BATCH] * 100 for name, label in y.items()})


def test_a_loss_beside_steps_that_a_loss_scale_skips():
    """Of task a the scaled gradient is infinite in many steps, which are not counted."""
    model = compiled({"a": "mse", "b": "mse"})
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1e-30), initial_scale=1e15, dynamic_growth_steps=100
    )
    weights = {"a": 1e25, "b": 1.0}
    model.compile(optimizer, {"a": "mse", "b": "mse"}, weights, surgery=PCGrad("sum", seed=0))
    x, y = data("ab")
    fit(model, x, y, epochs=3)
    step = int(optimizer.inner_optimizer.iterations) + 1
    y["b"][5] = np.inf
    with pytest.raises(FloatingPointError, match=f"in step {step}: `b_loss` is not finite"):
        fit(model, x, y)


def test_a_skipped_step_of_a_loss_scale_is_no_divergence():
    """The optimizer finds its scale by steps whose gradients are not finite."""
    model = compiled({"a": "mse", "b": "mse"})
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=3e38, dynamic_growth_steps=100
    )
    model.compile(optimizer, loss={"a": "mse", "b": "mse"}, surgery=PCGrad("sum", seed=0))
    fit(model, *data("ab"), epochs=2)
    assert not has_diverged(model)
