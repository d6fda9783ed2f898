"""A small training with any pair of features, the same for `MultiTaskModel` and `keras.Model`."""

from __future__ import annotations

import functools
import pathlib
import tempfile
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad.keras import MultiTaskModel
from support_features import Feature, Setup

ROWS, BATCH, POSITIONS = 16, 8, 4
TASKS = ("price", "sold")
CLASS_WEIGHT = {0: 1.0, 1: 2.0}


def train(model_class: type[keras.Model], features: Sequence[Feature], surgery: bool) -> dict:
    """Trains for four steps.

    Args:
        model_class: `MultiTaskModel` or `keras.Model`.
        features: What to train with.
        surgery: Whether there is one; otherwise `MultiTaskModel` trains without.

    Returns:
        The weights before and after, and the losses of the steps or epochs.
    """
    setup = Setup()
    for feature in features:
        feature.apply(setup)
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(setup.policy)
    try:
        with tempfile.TemporaryDirectory() as folder, _strategy(setup).scope():
            return _train(model_class, setup, surgery, pathlib.Path(folder))
    finally:
        keras.config.set_dtype_policy("float32")


def _train(model_class: Any, setup: Setup, surgery: bool, folder: pathlib.Path) -> dict:
    model = _build(model_class, setup)
    arguments = {"surgery": setup.surgery if surgery else None, "gramian": setup.gramian}
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, **setup.optimizer),
        loss={"price": "mean_squared_error", "sold": "binary_crossentropy"},
        **(arguments if model_class is MultiTaskModel else {}),
        **setup.compile,
    )
    x, y, weights = _data(setup)
    model(x[:1])
    before = model.get_weights()
    losses: list[float] = []
    for number in range(2):
        if number:
            for step in setup.between:
                model = _through(step, model, folder)
        if setup.batchwise:
            losses += _batch_by_batch(model, setup, x, y, weights)
        else:
            losses += _fit(model, setup, x, y, weights, folder / str(number))
    return {"before": before, "after": model.get_weights(), "losses": losses}


def _fit(model: keras.Model, setup: Setup, x: Any, y: Any, weights: Any, folder: Any) -> list:
    arguments: dict[str, Any] = {"sample_weight": weights} if weights else {}
    if "class_weight" in setup.data:
        arguments["class_weight"] = CLASS_WEIGHT
    if setup.callbacks:
        arguments |= {"callbacks": _callbacks(folder), "validation_data": (x, y)}
    fitted = model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, **arguments)
    return fitted.history["loss"]


def _batch_by_batch(model: keras.Model, setup: Setup, x: Any, y: Any, weights: Any) -> list[float]:
    losses = []
    arguments = {"class_weight": CLASS_WEIGHT} if "class_weight" in setup.data else {}
    for start in range(0, ROWS, BATCH):
        rows = slice(start, start + BATCH)
        batch = [{task: value[rows] for task, value in part.items()} for part in (y, weights or {})]
        logs = model.train_on_batch(
            x[rows], batch[0], batch[1] or None, return_dict=True, **arguments
        )
        losses.append(float(logs["loss"]))
    return losses


def _callbacks(folder: pathlib.Path) -> list[keras.callbacks.Callback]:
    return [
        keras.callbacks.EarlyStopping("val_loss", patience=5),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=5),
        keras.callbacks.ModelCheckpoint(str(folder / "best.keras"), "val_loss"),
        keras.callbacks.BackupAndRestore(str(folder / "backup")),
        keras.callbacks.TensorBoard(str(folder / "logs")),
        keras.callbacks.CSVLogger(str(folder.parent / "log.csv")),
        keras.callbacks.TerminateOnNaN(),
    ]


def _through(step: str, model: keras.Model, folder: pathlib.Path) -> keras.Model:
    if step == "save":
        model.save(folder / "model.keras")
        return keras.saving.load_model(folder / "model.keras")
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _strategy(setup: Setup) -> tf.distribute.Strategy:
    return _two_replicas() if setup.replicas else tf.distribute.get_strategy()


@functools.cache
def _two_replicas() -> tf.distribute.Strategy:
    """One for all trainings: those of two strategies get into each other's way."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def _build(model_class: Any, setup: Setup) -> keras.Model:
    if setup.form == "subclassed":
        return _subclass(model_class, frozenset(setup.layers))()
    trunk = _trunk(setup.layers)
    shape = (POSITIONS,) if "embedding" in setup.layers else _shape(setup)
    inputs = keras.Input(shape, dtype="int64" if "embedding" in setup.layers else "float32")
    if setup.form == "sequential":
        shared = keras.Sequential(trunk)(inputs)
    else:
        shared = inputs
        for layer in trunk:
            shared = layer(shared)
    return model_class(inputs, {task: _head(task)(shared) for task in TASKS})


@functools.cache
def _subclass(model_class: Any, layers: frozenset[str]) -> type[keras.Model]:
    name = "_".join([model_class.__name__, *sorted(layers)])

    @keras.saving.register_keras_serializable(package="tests", name=name)
    class Own(model_class):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.trunk, self.heads = _trunk(layers), [_head(task) for task in TASKS]

        def call(self, x: Any, training: bool | None = None) -> Any:
            for layer in self.trunk:
                x = layer(x, training=training) if _has_training(layer) else layer(x)
            return {task: head(x) for task, head in zip(TASKS, self.heads, strict=True)}

    return Own


def _has_training(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization | keras.layers.Dropout)


def _trunk(names: Collection[str]) -> list[keras.Layer]:
    masked = "mask" in names
    layers: list[keras.Layer] = []
    if "embedding" in names:
        layers.append(keras.layers.Embedding(6, 3, mask_zero=masked))
        if not masked:
            layers.append(keras.layers.Flatten())
    elif masked:
        layers.append(keras.layers.Masking())
    regularizer = "l2" if "regularization" in names else None
    layers.append(keras.layers.Dense(5, activation="tanh", kernel_regularizer=regularizer))
    if "normalization" in names:
        layers.append(keras.layers.BatchNormalization())
    if "dropout" in names:
        layers.append(keras.layers.Dropout(0.4, seed=3))
    return layers


def _head(task: str) -> keras.Layer:
    activation = "sigmoid" if task == "sold" else None
    return keras.layers.Dense(1, activation=activation, name=task, dtype="float32")


def _shape(setup: Setup) -> tuple[int, ...]:
    return (POSITIONS, 3) if "mask" in setup.layers else (3,)


def _data(setup: Setup) -> tuple[Any, dict[str, Any], dict[str, Any] | None]:
    rng = np.random.default_rng(5)
    masked = "mask" in setup.layers
    if "embedding" in setup.layers:
        x = rng.integers(1, 6, (ROWS, POSITIONS))
    else:
        x = rng.normal(size=(ROWS, *_shape(setup))).astype(np.float32)
    if masked:
        x[::3, 2:] = 0
    shape = (ROWS, POSITIONS, 1) if masked else (ROWS, 1)
    y = {
        "price": rng.normal(size=shape).astype(np.float32),
        "sold": rng.integers(0, 2, shape).astype(np.float32),
    }
    if "missing" in setup.data:
        y["price"][1::4] = np.nan
        y["sold"][2::5] = np.nan
    if "absent" in setup.data:
        y["price"][:BATCH] = np.nan
    weights = None
    if "sample_weight" in setup.data:
        weights = {task: rng.uniform(0.5, 2, ROWS).astype(np.float32) for task in TASKS}
    return x, y, weights
