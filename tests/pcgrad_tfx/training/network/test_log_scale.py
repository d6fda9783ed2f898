"""Regression on a logarithmic scale: an inverse everywhere, gradients everywhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.training.losses import OnLogScale
from pcgrad_tfx.training.network.log_scale import FromLog, from_log, to_log
from trips import ROWS, TASKS, trainer_config

LOSS = OnLogScale(keras.losses.MeanSquaredError())
VALUES = np.array([-300.0, -20.0, -1.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 1.0, 5.0, 20.0, 60.0])


def gradient(function, values):
    x = tf.Variable(values, dtype=tf.float32)
    with tf.GradientTape() as tape:
        y = function(x)
    return tape.gradient(y, x).numpy()


def test_it_is_the_logarithm_of_1_plus_an_amount():
    np.testing.assert_allclose(to_log(np.array([0.0, 1.0, 99.0])), np.log([1, 2, 100]))
    np.testing.assert_allclose(from_log(np.log([1.0, 2, 100])), [0, 1, 99])


def test_each_is_the_inverse_of_the_other():
    for one, other in ((to_log, from_log), (from_log, to_log)):
        values = VALUES.astype(np.float32)
        np.testing.assert_allclose(one(other(values)), values, rtol=2e-6, atol=1e-9)


def test_the_gradient_of_there_and_back_is_1_everywhere():
    np.testing.assert_allclose(
        gradient(lambda x: to_log(from_log(x)), VALUES), np.ones(len(VALUES)), rtol=1e-5
    )


@pytest.mark.parametrize("function", [to_log, from_log])
def test_no_gradient_is_lost_or_infinite(function):
    found = gradient(function, VALUES)
    assert np.isfinite(found).all()
    assert (found > 0).all()


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_the_loss_is_that_of_the_logarithms(shape):
    labels, predictions = np.array([0.0, 10.0, 1e6]), np.array([0.5, 100.0, 1e5])
    expected = np.mean((np.log1p(labels) - np.log1p(predictions)) ** 2)
    found = LOSS(labels, predictions.reshape(shape).astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def model_of(bias):
    inputs = keras.Input((1,))
    start = keras.initializers.Constant(bias)
    value = keras.layers.Dense(1, bias_initializer=start, name="value")(inputs)
    return MultiTaskModel(inputs, {"price": FromLog(name="price")(value)})


def test_a_network_that_starts_below_0_gets_out():
    """Keras's own mean_squared_logarithmic_error has no gradient there."""
    x = np.zeros((64, 1), np.float32)
    y = {"price": np.full(64, 50.0, np.float32)}
    model = model_of(bias=-30.0)
    model.compile(keras.optimizers.SGD(0.1), loss={"price": LOSS})
    model.fit(x, y, epochs=100, verbose=0)
    np.testing.assert_allclose(model.predict(x[:1], verbose=0)["price"], [[50.0]], rtol=1e-3)


def test_missing_labels_are_left_out():
    x, y = np.zeros((4, 1), np.float32), np.array([1.0, np.nan, 3.0, np.nan], np.float32)
    model = model_of(bias=0.0)
    model.compile("sgd", loss={"price": LOSS})
    loss = model.evaluate(x, {"price": y}, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, np.mean(np.log1p([1.0, 3.0]) ** 2), rtol=1e-6)


def test_a_saved_model_is_loaded_with_its_loss(tmp_path):
    model = model_of(bias=2.0)
    model.compile("sgd", loss={"price": LOSS})
    x, y = np.zeros((4, 1), np.float32), {"price": np.ones(4, np.float32)}
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-6
    )


def test_a_trained_model_answers_in_the_labels_own_unit(tmp_path, transformed_data):
    tasks = [task.model_copy(update={"log_scale": task.kind == "regression"}) for task in TASKS]
    config = trainer_config(epochs=60, tasks=[task.model_dump(mode="json") for task in tasks])
    run = transformed_data.train(tmp_path, config)
    rows = [row for row in ROWS["train"] if "fare" in row]
    prices = np.array([row["fare"][0] for row in rows])
    answers = run.serve(rows)["price"][:, 0]
    # Loss and metric are of the same answers, one of the logarithms, the other in the own unit.
    loss = np.mean((np.log1p(answers) - np.log1p(prices)) ** 2)
    error = np.abs(answers - prices).mean()
    assert run.history["price_loss"][-1] == pytest.approx(loss, rel=0.3)
    assert run.history["price_mean_absolute_error"][-1] == pytest.approx(error, rel=0.3)
    assert error < 0.8 * np.abs(prices - prices.mean()).mean()
    assert loss < 0.01
