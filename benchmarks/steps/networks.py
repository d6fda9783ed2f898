"""The networks that step times are measured on: one trunk, T heads with one unit each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

# Symbolic inputs for Keras, and a batch for them.
Inputs = tuple[list[keras.KerasTensor], list[npt.NDArray[Any]]]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A network and one batch for it.

    Attributes:
        model: From a batch to T logits [batch, 1].
        inputs: The batch.
        labels: [batch, T], float32, 0 or 1.
    """

    model: keras.Model
    inputs: list[tf.Tensor]
    labels: tf.Tensor

    def losses(self) -> list[tf.Tensor]:
        """One forward pass and the tasks' losses: sigmoid cross-entropy, mean over the batch."""
        logits = self.model(self.inputs, training=True)
        return [
            tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(self.labels[:, i : i + 1], x))
            for i, x in enumerate(logits)
        ]


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that is measured.

    Attributes:
        title: What it is.
        batch: Rows of one batch.
        inputs: Makes its inputs, symbolic ones for Keras and a batch of arrays.
        trunk: From the symbolic inputs to the features that all heads share.
    """

    title: str
    batch: int
    inputs: Callable[[np.random.Generator, int], Inputs]
    trunk: Callable[[list[keras.KerasTensor]], keras.KerasTensor]

    def build(self, tasks: int) -> Problem:
        """Builds the network with random weights, data and labels, the same in every process."""
        keras.utils.set_random_seed(1)
        rng = np.random.default_rng(0)
        inputs, arrays = self.inputs(rng, self.batch)
        features = self.trunk(inputs)
        heads = [keras.layers.Dense(1)(features) for _ in range(tasks)]
        return Problem(
            model=keras.Model(inputs, heads),
            inputs=[tf.constant(array) for array in arrays],
            labels=tf.constant(rng.integers(0, 2, (self.batch, tasks)), tf.float32),
        )


def _numbers(width: int) -> Callable[[np.random.Generator, int], Inputs]:
    def make(rng: np.random.Generator, batch: int) -> Inputs:
        return [keras.Input((width,))], [rng.normal(size=(batch, width)).astype(np.float32)]

    return make


def _dense(*widths: int) -> Callable[[list[keras.KerasTensor]], keras.KerasTensor]:
    def trunk(inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        features = inputs[0]
        for width in widths:
            features = keras.layers.Dense(width, activation="relu")(features)
        return features

    return trunk


_IDS, _EMBEDDING_WIDTH, _NUMBERS = 8, 32, 16


class _Lookup(keras.layers.Layer):
    """Like `keras.layers.Embedding`, which copies its whole table in every step.

    A variable that was updated sparsely is copied by TensorFlow whenever it is read as a whole, and
    Keras's layer reads it so before it takes the rows.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = self.add_weight(shape=(rows, width), initializer="uniform", name="table")

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.nn.embedding_lookup(self.table.value, ids)


def _recommender(rows: int, batch: int = 1024) -> Network:
    def inputs(rng: np.random.Generator, batch: int) -> Inputs:
        symbolic = [keras.Input((_IDS,), dtype="int64"), keras.Input((_NUMBERS,))]
        ids = rng.integers(0, rows, (batch, _IDS))
        return symbolic, [ids, rng.normal(size=(batch, _NUMBERS)).astype(np.float32)]

    def trunk(inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        embedded = _Lookup(rows, _EMBEDDING_WIDTH)(inputs[0])
        embedded = keras.layers.Flatten()(embedded)
        return _dense(128, 64)([keras.layers.Concatenate()([embedded, inputs[1]])])

    return Network(f"recommender, table {rows:,} × 32, 272-128-64", batch, inputs, trunk)


def _images(rng: np.random.Generator, batch: int) -> Inputs:
    shape = (36, 36, 1)
    return [keras.Input(shape)], [rng.normal(size=(batch, *shape)).astype(np.float32)]


def _convolutional(inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
    features = inputs[0]
    for filters in (16, 32):
        features = keras.layers.Conv2D(filters, 5, activation="relu")(features)
        features = keras.layers.MaxPooling2D()(features)
    return keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(features))


NETWORKS = {
    "a": Network("tabular MLP 64-192-128-96", 256, _numbers(64), _dense(192, 128, 96)),
    "b": Network("MLP 256-1024-1024-768", 512, _numbers(256), _dense(1024, 1024, 768)),
    "c": _recommender(200_000),
    "d": Network("convolutional, 36×36 images", 128, _images, _convolutional),
    "c, 2,000,000 rows": _recommender(2_000_000),
}
