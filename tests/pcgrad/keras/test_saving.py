"""Cloning and `.keras` files keep the surgery; training goes on as if uninterrupted."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import (
    TAXI_LOSSES,
    UNIT_ROWS,
    assert_same,
    labels,
    linear_model,
    taxi_data,
    taxi_model,
)
from pcgrad import PCGrad, PPCGrad
from pcgrad.keras import MultiTaskModel

SURGERIES = [
    PCGrad("sum", seed=5),
    PCGrad(),
    PPCGrad("mean", seed=9),
    PPCGrad(projection="simultaneous"),
]


@keras.saving.register_keras_serializable(package="tests")
def halves(gramian, step):
    """A weighting of a user's own."""
    del step
    return tf.fill([gramian.shape[0]], tf.constant(0.5, gramian.dtype))


def surgery_of(model: MultiTaskModel):
    """Through the public way: the configuration."""
    return keras.saving.deserialize_keras_object(model.get_compile_config())["surgery"]


def taxi(surgery) -> MultiTaskModel:
    model = taxi_model()
    model.compile(
        keras.optimizers.Adam(0.01),
        loss=TAXI_LOSSES,
        loss_weights={"tip": 2.0, "fare": 0.5, "zone": 1.0},
        metrics={"fare": ["mae"]},
        surgery=surgery,
        run_eagerly=True,
    )
    return model


def train(model: MultiTaskModel) -> dict[str, list[float]]:
    x, y = taxi_data()
    return model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history


@pytest.mark.parametrize("surgery", SURGERIES)
def test_saving_and_loading_keeps_the_surgery_and_the_training(surgery, tmp_path):
    uninterrupted = taxi(surgery)
    train(uninterrupted)
    path = tmp_path / "model.keras"
    uninterrupted.save(path)
    loaded = keras.models.load_model(path)
    assert isinstance(loaded, MultiTaskModel)
    assert repr(surgery_of(loaded)) == repr(surgery)
    assert_same(loaded.weights, uninterrupted.weights)
    assert_same(loaded.optimizer.variables, uninterrupted.optimizer.variables)
    histories = [train(uninterrupted), train(loaded)]
    assert_same(loaded.weights, uninterrupted.weights)
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5, err_msg=name)


def test_an_output_without_a_loss_keeps_the_optimizer_whole(tmp_path):
    """The optimizer knows all trainable weights, also those that no task reaches."""
    model = linear_model("ab", optimizer="adam")
    inputs = model.input
    other = keras.layers.Dense(1, name="other")(inputs)
    model = MultiTaskModel(inputs, {**model.output, "other": other})
    model.compile("adam", loss={"a": "mse", "b": "mse"}, surgery=PCGrad("sum"), run_eagerly=True)
    batch = labels(a=[2, 1], b=[-1, 3])
    for _ in range(3):
        model.train_on_batch(UNIT_ROWS, batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(loaded.optimizer.variables, model.optimizer.variables)
    model.train_on_batch(UNIT_ROWS, batch)
    loaded.train_on_batch(UNIT_ROWS, batch)
    assert_same(loaded.weights, model.weights)


def test_pickling_as_keras_does():
    model = taxi(PCGrad("sum", seed=5))
    train(model)
    again = pickle.loads(pickle.dumps(model))
    assert isinstance(again, MultiTaskModel)
    assert_same(again.weights, model.weights)
    train(model)
    train(again)
    assert_same(again.weights, model.weights)


def test_loading_draws_the_orders_of_the_steps_that_follow(tmp_path):
    """Three conflicting tasks, whose update depends on the orders, step by step."""
    batch = labels(a=[2, 0.4], b=[-1.6, 2], c=[-0.6, -1.8])
    model = linear_model("abc", surgery=PCGrad("sum"))
    for _ in range(3):
        model.train_on_batch(UNIT_ROWS, batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for _ in range(6):
        model.train_on_batch(UNIT_ROWS, batch)
        loaded.train_on_batch(UNIT_ROWS, batch)
        np.testing.assert_array_equal(loaded.weights[0], model.weights[0])


@pytest.mark.parametrize("surgery", [None, *SURGERIES[:2], halves])
def test_cloning_keeps_the_surgery(surgery):
    model = taxi(surgery)
    clone = keras.models.clone_model(model)
    assert isinstance(clone, MultiTaskModel)
    assert clone.optimizer is not model.optimizer
    assert repr(surgery_of(clone)) == repr(surgery)
    clone.set_weights(model.get_weights())
    train(model)
    train(clone)
    assert_same(clone.weights, model.weights)


def test_a_registered_weighting_is_saved(tmp_path):
    model = linear_model(surgery=halves)
    model.train_on_batch(UNIT_ROWS, labels(a=[2, 0], b=[2, 2]))
    np.testing.assert_allclose(model.weights[0], [[-1.0], [-0.5]])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.train_on_batch(UNIT_ROWS, labels(a=[2, 0], b=[2, 2]))
    np.testing.assert_allclose(loaded.weights[0], [[-2.0], [-1.0]])


def test_without_compiling_there_is_nothing_to_keep(tmp_path):
    model = taxi_model()
    assert model.get_compile_config() is None
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    assert_same(loaded.weights, model.weights)


def test_weights_only(tmp_path):
    model, other = taxi(PCGrad()), taxi(PCGrad())
    train(model)
    train(other)  # Keras loads into an optimizer only once that has variables
    train(other)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same(other.weights, model.weights)


def test_a_saved_model_for_serving(tmp_path):
    model = taxi(PCGrad())
    train(model)
    x, _ = taxi_data()
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    answers = served.serve({name: tf.constant(values) for name, values in x.items()})
    for task, output in model(x).items():
        np.testing.assert_allclose(answers[task], output, rtol=1e-5, atol=1e-6)


def test_checkpoints_and_backup_callbacks(tmp_path):
    x, y = taxi_data()
    model = taxi(PCGrad())
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras"),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
    ]
    model.fit(x, y, epochs=2, batch_size=8, verbose=0, callbacks=callbacks)
    best = keras.models.load_model(tmp_path / "best.keras")
    assert_same(best.weights, model.weights)
