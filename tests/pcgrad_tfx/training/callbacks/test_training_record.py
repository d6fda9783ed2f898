"""TrainingRecord: settings, versions and Keras's logs of each epoch."""

import json
import platform

import keras
import numpy as np
import pytest
import tensorflow as tf
import tfx

from pcgrad_tfx.conflict_report.telemetry import History, Record
from pcgrad_tfx.training.callbacks.record import TrainingRecord


def fit(folder, epochs=2, initial_epoch=0, label=1.0):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse", metrics=["mae"])
    x, y = np.ones((8, 2)), np.full((8, 1), label)
    record = TrainingRecord(folder, {"seed": 7, "tasks": [{"name": "a"}]}, {"train": 8})
    history = model.fit(
        x, y, validation_data=(x, y), epochs=epochs, initial_epoch=initial_epoch, verbose=0,
        callbacks=[record],
    )  # fmt: skip
    return history.history


def lines(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_every_epoch_s_logs(tmp_path):
    history = fit(tmp_path / "new")
    found = lines(tmp_path / "new")
    assert [line["epoch"] for line in found] == [0, 1]
    for name, values in history.items():
        assert [line["logs"][name] for line in found] == pytest.approx(values)
    assert set(found[0]["logs"]) == {"loss", "mae", "val_loss", "val_mae"}
    assert all(History.model_validate(line) for line in found)


def test_settings_rows_and_versions(tmp_path):
    fit(tmp_path)
    record = Record.model_validate_json((tmp_path / "training.json").read_text())
    assert record.settings == {"seed": 7, "tasks": [{"name": "a"}]}
    assert record.rows == {"train": 8}
    assert record.versions == {
        "tfx-pcgrad": record.versions["tfx-pcgrad"],
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "tfx": tfx.__version__,
        "Python": platform.python_version(),
    }


def test_a_resumed_training_appends(tmp_path):
    fit(tmp_path, epochs=2)
    fit(tmp_path, epochs=3, initial_epoch=1)
    assert [line["epoch"] for line in lines(tmp_path)] == [0, 1, 1, 2]


def test_what_is_not_finite_is_null(tmp_path):
    fit(tmp_path, label=np.nan)
    assert lines(tmp_path)[0]["logs"]["loss"] is None
