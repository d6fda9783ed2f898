"""`compile(gramian=…)`: training is the same, whichever way the Gram matrix is made."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import (
    MODES,
    TAXI_LOSSES,
    UNIT_ROWS,
    assert_same,
    labels,
    linear_model,
    taxi_data,
    taxi_model,
    taxi_weights,
)
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel
from pcgrad.layerwise import stacking

pytestmark = pytest.mark.long


# All tasks at once, though the kernels are small; and one by one.
VECTORIZED = [0, 10**9]


@pytest.fixture(params=VECTORIZED)
def _vectorized(request, monkeypatch):
    monkeypatch.setattr(stacking, "_WORTH_VECTORIZING", request.param)


def trained(gramian, *, missing=True, policy="float32", optimizer="sgd", **mode):
    """Loss weights, sample weights, regularization, missing labels, and a batch without any."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = taxi_model()
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(
        optimizer,
        loss=TAXI_LOSSES,
        loss_weights={"tip": 2.0, "fare": 0.5, "zone": 1.0},
        # Of its name Keras would make one in a step, which then is traced again.
        metrics={"fare": [keras.metrics.MeanAbsoluteError(name="mae")]},
        surgery=PCGrad("sum", seed=4),
        gramian=gramian,
        **mode,
    )
    x, y = taxi_data()
    if missing:
        y["tip"][1::4] = np.nan
        y["fare"][:8] = np.nan
    history = model.fit(
        x, y, sample_weight=taxi_weights(), batch_size=8, epochs=3, shuffle=False, verbose=0
    )
    return model, history.history


@functools.cache
def by_tape(*mode):
    """What everything is compared with, once for each mode."""
    return trained("tape", **dict(mode))


@pytest.mark.parametrize(
    ("way", "gramian", "worth_vectorizing"),
    [
        *itertools.product(["graph"], ["layerwise", "auto"], VECTORIZED),
        *itertools.product(["xla"], ["layerwise"], VECTORIZED),
        # Here, and in eager mode, it is the tape.
        ("xla", "auto", 0),
        *itertools.product(["eager"], ["layerwise", "auto"], [0]),
    ],
)
def test_training_is_the_same(way, gramian, worth_vectorizing, monkeypatch):
    monkeypatch.setattr(stacking, "_WORTH_VECTORIZING", worth_vectorizing)
    mode = MODES[way]
    expected, expected_history = by_tape(*mode.items())
    model, history = trained(gramian, **mode)
    assert_same(model.weights, expected.weights, tolerance=1e-5)
    assert set(history) == set(expected_history)
    for name, values in expected_history.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    assert model.conflicts()[0]["steps"] == expected.conflicts()[0]["steps"]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.usefixtures("_vectorized")
def test_in_mixed_precision(policy):
    """To the rounding of the half precision in which the layers compute.

    With a scale at which nothing overflows: a kernel's gradient in float16, the tape's, overflows
    earlier than one in float32.
    """

    def result(gramian):
        sgd = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=8.0)
        return trained(gramian, policy=policy, optimizer=sgd, jit_compile=False)[0]

    expected, model = result("tape"), result("layerwise")
    if "all tasks at once" in model.describe_gramian():  # one by one, 8 rows are too many here
        assert "bias: with " in model.describe_gramian()
    start = taxi_model().weights
    for actual, wanted, before in zip(model.weights, expected.weights, start, strict=True):
        change = np.abs(np.array(wanted, np.float32) - np.array(before)).max()
        np.testing.assert_allclose(actual, wanted, atol=0.05 * change + 1e-6)


def test_a_gradient_that_overflows_is_seen_by_loss_scaling():
    """The scale goes down, the weights stay: nothing is repaired on the way."""
    model = linear_model(
        surgery=PCGrad("sum"),
        gramian="layerwise",
        jit_compile=False,
        optimizer=keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(1.0), initial_scale=1e30
        ),
    )
    huge = labels(a=[1e20, 1e20], b=[1e20, -1e20])
    model.train_on_batch(UNIT_ROWS, huge)
    np.testing.assert_array_equal(model.get_layer("trunk").kernel, np.zeros((2, 1)))
    assert float(model.optimizer.dynamic_scale) < 1e30


def test_saving_and_cloning_keep_the_way(tmp_path):
    model, _ = trained("layerwise", run_eagerly=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["gramian"] == "layerwise"
    copy = keras.models.clone_model(model)
    copy.compile_from_config(model.get_compile_config())
    assert copy.get_compile_config()["gramian"] == "layerwise"


def test_a_person_can_read_what_was_done():
    inputs = keras.Input((300,))
    trunk = keras.layers.Dense(500, activation="relu", name="trunk")(inputs)
    model = MultiTaskModel(inputs, {task: keras.layers.Dense(1, name=task)(trunk) for task in "ab"})
    arguments = {"surgery": PCGrad("sum"), "gramian": "layerwise", "jit_compile": False}
    model.compile("sgd", loss={"a": "mse", "b": "mse"}, **arguments)
    x, y = np.ones((8, 300), np.float32), np.ones((8, 1), np.float32)
    model.fit(x, {"a": y, "b": y}, batch_size=4, verbose=0)
    description = model.describe_gramian()
    assert description.startswith("layer by layer, backward pass: ")
    assert "trunk/kernel: product, by rows (4 rows)" in description
    assert "trunk/bias: with trunk/kernel" in description
    by_tape_alone, _ = by_tape(*MODES["graph"].items())
    assert by_tape_alone.describe_gramian() == "every gradient from the tape"
    assert "eager mode" in trained("layerwise", run_eagerly=True)[0].describe_gramian()


@pytest.mark.parametrize("known", [False, True])
def test_fit_knows_the_size_of_batches_without_a_remainder(known):
    """Then nothing is left to decide in each step."""
    inputs = keras.Input((8,))
    shared = keras.layers.Dense(2048, activation="relu")(inputs)
    shared = keras.layers.Dense(1024)(shared)
    model = MultiTaskModel(inputs, {task: keras.layers.Dense(1)(shared) for task in "abc"})
    model.compile("sgd", loss=dict.fromkeys("abc", "mse"), surgery=PCGrad("sum"), gramian="auto")
    y = np.ones((8, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices((np.ones((8, 8), "float32"), dict.fromkeys("abc", y)))
    model.fit(data.batch(4, drop_remainder=known), verbose=0)
    assert model.describe_gramian().startswith("layer by layer" if known else "up to a batch of")


def test_before_the_first_step_there_is_nothing_to_read():
    with pytest.raises(ValueError, match="no step has been traced yet"):
        linear_model().describe_gramian()
    with pytest.raises(ValueError, match="no step has been traced yet"):
        taxi_model().describe_gramian()


def test_an_unknown_way():
    with pytest.raises(ValueError, match="`gramian` must be one of \"tape\", .*not 'fast'"):
        linear_model(gramian="fast")
