"""Models and data for the tests of `MultiTaskModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from pcgrad.keras import MultiTaskModel

# The ways in which Keras can run a step, as arguments of `compile`.
MODES = {
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}

# A batch of these rows makes labels into gradients, see `linear_model`.
UNIT_ROWS = np.eye(2, dtype=np.float32)


@keras.saving.register_keras_serializable(package="tests")
def product(y_true: Any, y_pred: Any) -> Any:
    """A loss that is linear in the prediction, so that its gradient is the label."""
    return keras.ops.mean(keras.ops.cast(y_true, y_pred.dtype) * y_pred, axis=-1)


def linear_model(
    tasks: Sequence[str] = ("a", "b"), *, regularizer: Any = None, **compile_arguments: Any
) -> MultiTaskModel:
    """All tasks predict ⟨w, x⟩ with one shared w [2], zero at first.

    With the loss `product` a task's gradient is the mean over its labelled rows of label × row:
    half the labels, for the batch `UNIT_ROWS`.
    """
    inputs = keras.Input((2,))
    trunk = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros", kernel_regularizer=regularizer, name="trunk"
    )(inputs)
    outputs = {task: keras.layers.Identity(name=task)(trunk) for task in tasks}
    model = MultiTaskModel(inputs, outputs)
    arguments = {
        "optimizer": keras.optimizers.SGD(1.0),
        "loss": dict.fromkeys(tasks, product),
    }
    # Tracing takes a hundred times as long as these steps.
    if "jit_compile" not in compile_arguments:
        arguments["run_eagerly"] = True
    model.compile(**{**arguments, **compile_arguments})
    return model


def labels(**by_task: Sequence[Any]) -> dict[str, np.ndarray]:
    return {task: np.array(values, np.float32) for task, values in by_task.items()}


def taxi_model(cls: type[keras.Model] = MultiTaskModel) -> keras.Model:
    """A trunk with an embedding and regularization, and three heads of different kinds."""
    keras.utils.set_random_seed(3)
    numeric = keras.Input((3,), name="numeric")
    area = keras.Input((), dtype="int64", name="area")
    embedded = keras.layers.Embedding(5, 2, embeddings_regularizer="l2")(area)
    joined = keras.layers.Concatenate()([numeric, embedded])
    trunk = keras.layers.Dense(
        6, activation="tanh", kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1(0.02)
    )(joined)
    outputs = {
        "tip": keras.layers.Dense(1, activation="sigmoid", name="tip")(trunk),
        "fare": keras.layers.Dense(1, kernel_regularizer="l2", name="fare")(trunk),
        "zone": keras.layers.Dense(3, activation="softmax", name="zone")(trunk),
    }
    return cls({"numeric": numeric, "area": area}, outputs)


TAXI_LOSSES = {
    "tip": "binary_crossentropy",
    "fare": "mean_squared_error",
    "zone": "sparse_categorical_crossentropy",
}


def taxi_data(rows: int = 24) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(4)
    numeric = rng.normal(size=(rows, 3)).astype(np.float32)
    x = {"numeric": numeric, "area": rng.integers(0, 5, size=rows)}
    y = {
        "tip": (numeric[:, :1] + rng.normal(size=(rows, 1)) > 0).astype(np.float32),
        "fare": (numeric @ [1.0, -2.0, 0.5] + rng.normal(size=rows)).astype(np.float32),
        "zone": rng.integers(0, 3, size=rows),
    }
    return x, y


def taxi_weights(rows: int = 24) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {task: rng.uniform(0.1, 2, size=rows).astype(np.float32) for task in TAXI_LOSSES}


def assert_same(one: Sequence[Any], other: Sequence[Any], tolerance: float = 1e-6) -> None:
    """Asserts that two models' (or optimizers') variables are equal, one by one."""
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        np.testing.assert_allclose(first, second, rtol=tolerance, atol=tolerance)
