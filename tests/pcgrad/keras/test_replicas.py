"""Two replicas train as one process does on the whole batch.

Logical devices must be set up before TensorFlow starts, hence the process of its own.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

ROWS, BATCH = 32, 8


def data() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Labels missing unevenly: the first half of a batch is one replica's share."""
    rng = np.random.default_rng(0)
    x = {"numeric": rng.normal(size=(ROWS, 3)), "area": rng.integers(0, 6, size=ROWS)}
    y = {task: rng.normal(size=(ROWS, 1)) for task in "abc"}
    y["a"][rng.uniform(size=ROWS) < 0.5] = np.nan
    y["b"][:4] = np.nan  # no label at all on one replica
    y["c"][8:16] = np.nan  # nor on both
    return x, y


def model_and_history() -> tuple[MultiTaskModel, dict[str, list[float]]]:
    """Trains, in the strategy's scope that is current. Adam would hide errors of scale."""
    keras.utils.set_random_seed(0)
    numeric = keras.Input((3,), name="numeric")
    area = keras.Input((), dtype="int64", name="area")
    joined = keras.layers.Concatenate()([numeric, keras.layers.Embedding(6, 2)(area)])
    trunk = keras.layers.Dense(5, activation="tanh", kernel_regularizer="l2")(joined)
    outputs = {task: keras.layers.Dense(1, name=task)(trunk) for task in "abc"}
    model = MultiTaskModel({"numeric": numeric, "area": area}, outputs)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=dict.fromkeys("abc", "mse"),
        loss_weights={"a": 1.0, "b": 2.0, "c": 0.5},
        metrics={"b": ["mae"]},
        surgery=PCGrad("sum", seed=3),
        jit_compile=False,
    )
    x, y = data()
    history = model.fit(
        x, y, batch_size=BATCH, epochs=3, shuffle=False, verbose=0, validation_data=(x, y)
    )
    return model, history.history


def trained() -> tuple[list[np.ndarray], dict[str, list[float]]]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model, history = model_and_history()
    finally:
        keras.config.set_dtype_policy(before)
    return [np.array(weight) for weight in model.weights], history


def trained_on_two_replicas() -> dict:
    """Runs in a process of its own."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, devices)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        weights, history = trained()
    return {
        "replicas": strategy.num_replicas_in_sync,
        "weights": weights,
        "history": history,
        "error": error_without_step(strategy),
    }


def error_without_step(strategy: tf.distribute.Strategy) -> str:
    """The message for a loop of one's own that leaves the counting of steps to PCGrad."""
    with strategy.scope():
        variable = tf.Variable([1.0, 2.0])
    surgery = PCGrad()

    def step() -> None:
        with tf.GradientTape(persistent=True) as tape:
            losses = [tf.reduce_sum(variable), -tf.reduce_sum(variable)]
        surgery.pc_backward(tape, losses, [variable])

    try:
        strategy.run(tf.function(step))
    except ValueError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def on_two_replicas() -> dict:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
        return process.submit(trained_on_two_replicas).result()


@pytest.fixture(scope="module")
def on_one() -> tuple[list[np.ndarray], dict[str, list[float]]]:
    return trained()


def test_the_weights_are_those_of_whole_batches(on_two_replicas, on_one):
    assert on_two_replicas["replicas"] == 2
    weights, _ = on_one
    for replicated, wanted in zip(on_two_replicas["weights"], weights, strict=True):
        np.testing.assert_allclose(replicated, wanted, rtol=1e-6, atol=1e-6)


def test_the_reported_losses_and_conflicts_are_those_of_whole_batches(on_two_replicas, on_one):
    _, history = on_one
    assert max(history["conflicting_pairs"]) > 0
    assert on_two_replicas["history"].keys() == history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(
            on_two_replicas["history"][name], values, rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_steps_cannot_be_counted_by_each_replica(on_two_replicas):
    assert "`step`" in on_two_replicas["error"]
    assert "replicas" in on_two_replicas["error"]
