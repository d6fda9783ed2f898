"""Keras's callbacks do with a `MultiTaskModel` what they do with any model, task by task."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import TAXI_LOSSES, assert_same, taxi_data, taxi_model
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

EPOCHS = 5


def compiled(optimizer="sgd") -> MultiTaskModel:
    model = taxi_model()
    surgery = PCGrad("sum", seed=0)
    model.compile(optimizer, loss=TAXI_LOSSES, surgery=surgery, run_eagerly=True)
    return model


def fit(model: MultiTaskModel, *callbacks, epochs: int = EPOCHS) -> dict[str, list[float]]:
    x, y = taxi_data()
    return model.fit(
        x,
        y,
        batch_size=12,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        validation_data=(x, y),
        callbacks=list(callbacks),
    ).history


# So fast that the losses go up again.
FAST = 0.7


def test_a_checkpoint_of_the_best_epoch_of_a_task(tmp_path):
    path = tmp_path / "best.keras"
    best = keras.callbacks.ModelCheckpoint(
        path, monitor="val_fare_loss", mode="min", save_best_only=True
    )
    values = fit(compiled(keras.optimizers.SGD(FAST)), best)["val_fare_loss"]
    assert min(values) < values[-1]
    x, y = taxi_data()
    found = keras.saving.load_model(path).evaluate(x, y, verbose=0, return_dict=True)
    assert found["fare_loss"] == pytest.approx(min(values), rel=1e-5)


def test_early_stopping_restores_the_best_epoch_of_a_task():
    model = compiled(keras.optimizers.SGD(FAST))
    stopping = keras.callbacks.EarlyStopping(
        "val_fare_loss", patience=EPOCHS, mode="min", restore_best_weights=True
    )
    values = fit(model, stopping)["val_fare_loss"]
    assert min(values) < values[-1]
    x, y = taxi_data()
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["fare_loss"] == pytest.approx(min(values), rel=1e-5)


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path):
    """Also with the orders of the projections that come next."""
    uninterrupted = compiled("adam")
    history = fit(uninterrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(compiled("adam"), keras.callbacks.BackupAndRestore(tmp_path), Interruption())
    resumed = compiled("adam")
    rest = fit(resumed, keras.callbacks.BackupAndRestore(tmp_path))
    assert_same(resumed.weights, uninterrupted.weights)
    assert rest.keys() == history.keys()
    for name, values in rest.items():
        np.testing.assert_allclose(values, history[name][2:], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("monitor", ["val_tip_loss", "mean_cosine"])
def test_a_plateau_lowers_the_learning_rate(monitor):
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor, mode="min", factor=0.5, patience=1, min_delta=1e9
    )
    rates = fit(compiled(keras.optimizers.SGD(0.1)), plateau)["learning_rate"]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.05, 0.025, 0.0125])


def test_a_table_of_the_epochs(tmp_path):
    path = tmp_path / "epochs.csv"
    history = fit(compiled(), keras.callbacks.CSVLogger(path))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"epoch", *history}
    assert {"tip_loss", "val_fare_loss", "mean_cosine", "zone_gradient_norm"} < set(history)
    for name, values in history.items():
        np.testing.assert_allclose([float(row[name]) for row in rows], values, rtol=1e-5)


def scalars(folder) -> dict[str, list[float]]:
    """Value by name and epoch, from TensorBoard's event files."""
    found: dict[str, list[float]] = {}
    for path in sorted(folder.glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
                found.setdefault(value.tag, []).append(tf.make_ndarray(value.tensor))
    return found


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    history = fit(compiled(), keras.callbacks.TensorBoard(tmp_path))
    in_training = scalars(tmp_path / "train")
    in_validation = scalars(tmp_path / "validation")
    for name, values in history.items():
        is_of_validation = name.startswith("val_")
        found = in_validation if is_of_validation else in_training
        tag = f"epoch_{name.removeprefix('val_')}"
        np.testing.assert_allclose(found[tag], values, rtol=1e-5, err_msg=name)


def test_averaged_weights_are_swapped_in_for_validation():
    """The averages are those of the weights that training without them passes through."""
    momentum, passed = 0.6, []

    class Steps(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            passed.append([variable.numpy() for variable in self.model.trainable_variables])

    fit(compiled(), Steps(), epochs=1)
    first, second = passed
    average = [
        momentum * one + (1 - momentum) * other for one, other in zip(first, second, strict=True)
    ]
    wanted = compiled()
    for variable, value in zip(wanted.trainable_variables, average, strict=True):
        variable.assign(value)
    x, y = taxi_data()
    expected = wanted.evaluate(x, y, verbose=0, return_dict=True)
    model = compiled(keras.optimizers.SGD(use_ema=True, ema_momentum=momentum))
    history = fit(model, keras.callbacks.SwapEMAWeights(swap_on_epoch=True), epochs=1)
    for name, value in expected.items():
        np.testing.assert_allclose(history[f"val_{name}"], [value], rtol=1e-5, err_msg=name)
