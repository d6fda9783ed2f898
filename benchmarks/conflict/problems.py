"""Tables whose truth is known, and small networks to train on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt

from pcgrad.keras import MultiTaskModel

Array = npt.NDArray[np.float32]

_FEATURES = 8
_WIDTH = 32


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is drawn, and the width of the layer that the tasks share.

    Attributes:
        levels: Of each task, by name, which features it follows, and with which sign.
        noise: Standard deviation of the labels' noise; that of a level is about 0.7.
        shared_noise: The part of the noise's variance that all tasks share.
        trunk: Width of the last shared layer.
        missing: The share of each task's labels that is missing.
    """

    levels: Mapping[str, tuple[int, float]]
    noise: float
    shared_noise: float = 0.0
    trunk: int = 16
    missing: float = 0.0


# Tasks that follow the same features with opposite signs, others, or the same ones.
PROBLEMS = {
    "opposed, scarce trunk": Problem({"a": (0, 1.0), "b": (0, -1.0)}, 1.5, trunk=2),
    "disjoint, own noise": Problem({"a": (0, 1.0), "b": (3, 1.0)}, 1.0),
    "disjoint, shared noise": Problem({"a": (0, 1.0), "b": (3, 1.0)}, 1.0, shared_noise=0.9),
    "aligned": Problem({"a": (0, 1.0), "b": (0, 1.0)}, 1.0),
    "three tasks": Problem({"a": (0, 1.0), "b": (0, -1.0), "c": (3, 1.0)}, 1.0, trunk=4),
    "missing labels": Problem({"a": (0, 1.0), "b": (0, -1.0)}, 1.0, trunk=4, missing=0.5),
}


def draw(
    problem: Problem, rows: int, generator: np.random.Generator
) -> tuple[Array, dict[str, Array]]:
    """Features [rows, 8] and labels [rows, 1] by task, NaN where one is missing."""
    features = generator.normal(size=(rows, _FEATURES)).astype(np.float32)
    common = generator.normal(size=rows)
    labels = {}
    for task, (first, sign) in problem.levels.items():
        level = sign * np.tanh(features[:, first] + features[:, first + 1] * features[:, first + 2])
        own = generator.normal(size=rows)
        part = problem.shared_noise
        noise = np.sqrt(part) * common + np.sqrt(1 - part) * own
        values = level + problem.noise * noise
        values[generator.random(rows) < problem.missing] = np.nan
        labels[task] = values.astype(np.float32)[:, np.newaxis]
    return features, labels


def make_model(problem: Problem, seed: int) -> MultiTaskModel:
    """Two shared layers and a linear head for each task; compiled without surgery."""
    keras.utils.set_random_seed(seed + 1)
    inputs = keras.Input((_FEATURES,))
    hidden = keras.layers.Dense(_WIDTH, activation="relu")(inputs)
    hidden = keras.layers.Dense(problem.trunk, activation="relu")(hidden)
    heads = {task: keras.layers.Dense(1, name=task)(hidden) for task in problem.levels}
    model = MultiTaskModel(inputs, heads)
    model.compile(keras.optimizers.Adam(1e-3), loss=dict.fromkeys(problem.levels, "mse"))
    return model
