"""Evaluation and validation averages are those over all rows."""

import keras
import numpy as np
import pytest

from multitask_models import TAXI_LOSSES, labels, linear_model, taxi_data, taxi_model
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

METRICS = {"fare": ["mae"], "zone": ["accuracy"]}


def compiled() -> keras.Model:
    model = taxi_model()
    model.compile(
        "sgd", loss=TAXI_LOSSES, metrics=METRICS, surgery=PCGrad("sum", seed=0), run_eagerly=True
    )
    return model


@pytest.mark.parametrize("batch_size", [5, 7, 23])
def test_batches_of_any_size_average_to_the_whole(batch_size):
    x, y = taxi_data()
    model = compiled()
    whole = model.evaluate(x, y, batch_size=24, verbose=0, return_dict=True)
    split = model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True)
    assert set(split) == {
        "loss",
        "tip_loss",
        "fare_loss",
        "zone_loss",
        "fare_mae",
        "zone_accuracy",
    }
    for name, value in whole.items():
        np.testing.assert_allclose(split[name], value, rtol=1e-5, err_msg=name)


def test_validation_during_training_equals_evaluation():
    x, y = taxi_data()
    model = compiled()
    history = model.fit(
        x, y, batch_size=8, epochs=2, verbose=0, validation_data=(x, y), validation_batch_size=7
    ).history
    expected = model.evaluate(x, y, batch_size=24, verbose=0, return_dict=True)
    for name, value in expected.items():
        np.testing.assert_allclose(history[f"val_{name}"][-1], value, rtol=1e-5, err_msg=name)
    assert not [name for name in history if name.startswith("val_") and "cosine" in name]


def test_validation_with_missing_labels_unevenly_spread():
    """A mean of the batches' means would be 2.5 for task a."""
    model = linear_model(loss=dict.fromkeys("ab", "mse"))
    x = np.zeros((5, 2), np.float32)
    nan = np.nan
    y = labels(a=[1, 1, nan, nan, 2], b=[nan, nan, nan, nan, 1])
    logs = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["a_loss"], 2.0)
    np.testing.assert_allclose(logs["b_loss"], 1.0)
    np.testing.assert_allclose(logs["loss"], 3.0)


def test_evaluation_is_without_dropout():
    inputs = keras.Input((2,))
    trunk = keras.layers.Dropout(0.5)(inputs)
    model = MultiTaskModel(inputs, {name: keras.layers.Dense(1)(trunk) for name in "ab"})
    model.compile(loss="mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    found = model.evaluate(x, {"a": x[:, :1], "b": x[:, 1:]}, verbose=0, return_dict=True)
    error = model(x)["a"].numpy() - x[:, :1]
    np.testing.assert_allclose(found["a_loss"], np.mean(error**2), rtol=1e-5)


def test_the_list_form_of_evaluation_begins_with_the_loss():
    x, y = taxi_data()
    model = compiled()
    model.fit(x, y, batch_size=24, verbose=0)
    as_dict = model.evaluate(x, y, verbose=0, return_dict=True)
    as_list = model.evaluate(x, y, verbose=0)
    names = ["loss", "tip_loss", "fare_loss", "zone_loss", "fare_mae", "zone_accuracy"]
    np.testing.assert_allclose(as_list, [as_dict[name] for name in names], rtol=1e-6)


def test_metric_objects_are_reported_once():
    """As in `keras.Model`: under the task's name only."""
    x, y = taxi_data()
    names = {}
    for cls in (keras.Model, type(compiled())):
        model = taxi_model(cls)
        metrics = {"fare": [keras.metrics.MeanAbsoluteError(name="error")]}
        model.compile("sgd", loss=TAXI_LOSSES, metrics=metrics, run_eagerly=True)
        names[cls] = set(model.evaluate(x, y, verbose=0, return_dict=True))
    ours, keras_names = names.values()
    assert ours == keras_names


def test_early_stopping_on_a_tasks_validation_loss():
    x, y = taxi_data()
    model = compiled()
    stopping = keras.callbacks.EarlyStopping("val_fare_loss", mode="min", min_delta=1e9)
    history = model.fit(
        x, y, epochs=9, batch_size=24, verbose=0, validation_data=(x, y), callbacks=[stopping]
    )
    assert len(history.history["loss"]) == 2
