"""What a training gives while one of TensorFlow's global switches is on; prints JSON.

A program of its own, as numpy behaviour cannot be switched off again.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad import PCGrad, PPCGrad
from pcgrad.keras import MultiTaskModel
from pcgrad.layerwise import layerwise_backward

SWITCHES: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "check numerics": tf.debugging.enable_check_numerics,
    "numpy behavior": tf.experimental.numpy.experimental_enable_numpy_behavior,
}
SURGERIES = {
    "PCGrad": lambda: PCGrad("sum", seed=0),
    "PPCGrad": lambda: PPCGrad("mean", seed=0),
    "simultaneous": lambda: PCGrad("sum", projection="simultaneous", seed=0),
}
MODES: dict[str, Callable[[Any], Any]] = {
    "eager": lambda function: function,
    "graph": lambda function: tf.function(function, autograph=False),
}
KINDS = ("usual", "opposed", "zero", "all zero", "missing", "large", "many tasks")
TASKS = 3
LARGE = 2**16


def gradients(kind: str) -> list[list[Any]]:
    """Of three tasks: by a vector, a table and a large variable."""
    rng = np.random.default_rng(1)
    tables = [
        (np.array(rows), rng.normal(size=(len(rows), 3))) for rows in ([0, 2, 2], [4], [2, 1])
    ]
    vectors = list(rng.normal(size=(TASKS, 5)))
    if kind == "many tasks":  # the visits are a loop
        return [[row] for row in rng.normal(size=(10, 5))]
    if kind == "opposed":
        vectors[1] = -2 * vectors[0]
    if kind == "zero":
        vectors[0] *= 0
        tables[0][1][:] = 0
    if kind == "all zero":
        return [[np.zeros(5)] for _ in range(TASKS)]
    large = list(rng.normal(size=(TASKS, LARGE))) if kind == "large" else [None] * TASKS
    found = [list(row) for row in zip(vectors, tables, large, strict=True)]
    if kind == "missing":
        found[1][0] = found[2][1] = None
    return found


def _loss(row: list[Any], variables: list[tf.Variable]) -> tf.Tensor:
    terms = []
    for gradient, variable in zip(row, variables, strict=True):
        if isinstance(gradient, tuple):
            rows = tf.gather(variable, tf.constant(gradient[0]))
            terms.append(tf.reduce_sum(rows * tf.constant(gradient[1], variable.dtype)))
        elif gradient is not None:
            terms.append(tf.reduce_sum(variable * tf.constant(gradient, variable.dtype)))
    return tf.add_n(terms)


def custom_loops() -> dict[str, Any]:
    """Updates of `pc_backward`, and of packed gradients."""
    cases = [(kind, tf.float32) for kind in KINDS] + [("usual", tf.float16), ("zero", tf.float64)]
    found = {}
    for kind, dtype in cases:
        for name in SURGERIES if kind == "zero" else ["PCGrad"]:
            for mode in MODES if kind == "missing" else ["graph"]:
                step = _custom_step(kind, dtype, SURGERIES[name]())
                found[f"{kind}, {dtype.name}, {name}, {mode}"] = _flat(MODES[mode](step)())
    return found


def _custom_step(kind: str, dtype: tf.DType, surgery: Any) -> Callable[[], Any]:
    rows = gradients(kind)
    shapes = ([5], [6, 3], [LARGE])
    variables = [tf.Variable(tf.ones(shape, dtype)) for shape in shapes[: len(rows[0])]]

    def step() -> Any:
        with tf.GradientTape(persistent=True) as tape:
            losses = [_loss(row, variables) for row in rows]
        update = surgery.pc_backward(tape, losses, variables, step=3)
        grads, shapes, masks = surgery.pack_grad(tape, losses, variables)
        merged = surgery.unpack_grad(surgery.project_conflicting(grads, masks, step=3), shapes)
        return [*(tf.convert_to_tensor(g) for g in update if g is not None), *merged]

    return step


def layer_by_layer() -> dict[str, Any]:
    """Updates of `layerwise_backward`."""
    found = {}
    for batch, width, gramian in [(8, 6, "layerwise"), (None, 900, "auto")]:
        for task_0 in (0.0, -1.0):
            step = _layerwise_step(batch, width, gramian, task_0)
            name = f"{gramian}, batch {batch}, width {width}, {task_0} x task 0"
            found[name] = _flat(step(tf.constant([0, 1, 1, 5, 6, 2, 3, 3])))
    return found


def _layerwise_step(
    batch: int | None, width: int, gramian: str, task_0: float
) -> Callable[[tf.Tensor], Any]:
    rng = np.random.default_rng(2)
    table = tf.Variable(rng.normal(size=(7, width)), dtype=tf.float32)
    kernel = tf.Variable(rng.normal(size=(width, width)) / width, dtype=tf.float32)
    bias = tf.Variable(tf.zeros([width]))
    heads = rng.normal(size=(width, TASKS))
    heads[:, 1] = heads[:, 0]
    heads = tf.constant(heads, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([batch], tf.int32)], autograph=False)
    def step(ids: tf.Tensor) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            features = tf.nn.embedding_lookup(table, ids)
            features = tf.tanh(tf.matmul(features, kernel) + bias)
            losses = tf.unstack(tf.reduce_mean(tf.matmul(features, heads), axis=0), num=TASKS)
            losses[0] *= task_0
        update = layerwise_backward(
            tape, losses, [table, kernel, bias], PCGrad(seed=0), 1, gramian=gramian
        )
        return [tf.reduce_sum(tf.convert_to_tensor(g), axis=0) for g in update]

    return step


def trained_model() -> dict[str, Any]:
    """What `fit` and `evaluate` give, and the weights; a batch is without a task's gradient."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(24, 4)).astype("float32")
    ids = rng.integers(0, 5, (24, 1))
    labels = {"a": x[:, :1], "b": -x[:, :1], "c": x[:, 1:2]}
    weights = {"a": np.ones(24), "b": np.ones(24), "c": np.repeat([1.0, 0.0, 2.0], 8)}
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((4,)), keras.Input((1,), dtype="int32")]
    embedded = keras.layers.Flatten()(keras.layers.Embedding(5, 3)(inputs[1]))
    trunk = keras.layers.Concatenate()([inputs[0], embedded])
    trunk = keras.layers.Dense(6, "relu", kernel_regularizer="l2")(trunk)
    model = MultiTaskModel(inputs, {task: keras.layers.Dense(1)(trunk) for task in labels})
    losses = dict.fromkeys(labels, "mse")
    model.compile("adam", losses, metrics={"a": ["mae"]}, surgery=PCGrad("sum", seed=0))
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    fitted = model.fit([x, ids], labels, sample_weight=weights, **options)
    evaluated = model.evaluate([x, ids], labels, batch_size=8, verbose=0)
    return {
        "fit": _flat(fitted.history.values()),
        "evaluate": _flat([evaluated]),
        "weights": _flat(model.get_weights()),
    }


def _flat(values: Iterable[Any]) -> list[float]:
    return np.concatenate([np.ravel(v) for v in values]).astype(np.float64).tolist()


def results() -> dict[str, list[float]]:
    """Of all of them, by what was done."""
    return {**custom_loops(), **layer_by_layer(), **trained_model()}


if __name__ == "__main__":
    SWITCHES[sys.argv[1]]()
    print(json.dumps(results()))
