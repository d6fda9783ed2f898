"""`compile(gramian="features")`: `fit` with the weights of the gradients by the features."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import TAXI_LOSSES, assert_same, taxi_data, taxi_model
from pcgrad import PCGrad, make_weighting
from pcgrad.keras import ConflictMonitor, MultiTaskModel
from pcgrad.keras.layers import SharedFeatures

GRAPH = {"jit_compile": False}
SURGERY = PCGrad("sum", seed=4)


def compiled(surgery=SURGERY, optimizer="sgd", model=None, **settings):
    model = model or taxi_model()
    settings = {"gramian": "features", **GRAPH, **settings}
    model.compile(optimizer, loss=TAXI_LOSSES, surgery=surgery, **settings)
    return model


def fit(model, **settings):
    x, y = taxi_data()
    y["tip"][1::4] = np.nan
    y["fare"][:8] = np.nan  # a batch without any
    return model.fit(x, y, batch_size=8, shuffle=False, verbose=0, **settings)


def trained_by_hand(surgery):
    """A gradient of each task in every step; weights by those by the last layer's output."""
    model = taxi_model(keras.Model)
    trunk, heads = model.get_layer("tip").input, [model.get_layer(name) for name in TAXI_LOSSES]
    body = keras.Model(model.inputs, trunk)
    x, y = taxi_data()
    y["tip"][1::4] = np.nan
    y["fare"][:8] = np.nan
    losses = {name: keras.losses.get(loss) for name, loss in TAXI_LOSSES.items()}
    for step in range(3):
        rows = slice(8 * step, 8 * step + 8)
        batch = {name: values[rows] for name, values in x.items()}
        with tf.GradientTape(persistent=True) as tape:
            features = body([batch[one.name] for one in model.inputs])
            tape.watch(features)
            of_tasks = []
            for head, (name, loss) in zip(heads, losses.items(), strict=True):
                known = ~np.isnan(y[name][rows].reshape(8, -1)[:, 0])
                if known.any():
                    targets = y[name][rows][known].reshape(known.sum(), -1)
                    predicted = tf.boolean_mask(head(features), known)
                    of_tasks.append(tf.reduce_mean(loss(targets, predicted)))
                else:
                    of_tasks.append(0.0 * tf.reduce_sum(head(features)))
            penalty = tf.add_n(model.losses)
        flat = [tf.reshape(tape.gradient(one, features), [-1]) for one in of_tasks]
        gramian = tf.matmul(flat, flat, transpose_b=True)
        weights = tf.cast(surgery(gramian, step), tf.float32)
        of_heads = {id(variable) for head in heads for variable in head.trainable_variables}
        for variable in model.trainable_variables:
            factors = tf.ones(3) if id(variable) in of_heads else weights
            change = tf.zeros(variable.shape)
            for factor, loss in zip(tf.unstack(factors), of_tasks, strict=True):
                gradient = tape.gradient(loss, variable.value)
                if gradient is not None:
                    change += factor * tf.convert_to_tensor(gradient)
            gradient = tape.gradient(penalty, variable.value)
            if gradient is not None:
                change += tf.convert_to_tensor(gradient)
            variable.assign(variable - 0.01 * change)
    return model


def test_training_is_that_by_hand():
    model = compiled()
    history = fit(model)
    assert_same(model.weights, trained_by_hand(SURGERY).weights, tolerance=1e-5)
    assert "at the features" in model.describe_gramian()
    assert "approximate" in model.describe_gramian()
    # Of features: they are not what conflicts are reported of.
    assert "mean_cosine" not in history.history
    assert model.conflicts() == []


def test_conflicts_that_are_asked_for_are_those_of_the_gradients(tmp_path):
    found = []
    for gramian in ("features", "tape"):
        model = compiled(optimizer=keras.optimizers.SGD(0.0), gramian=gramian)
        fit(model, callbacks=[ConflictMonitor(str(tmp_path / gramian))])
        found.append(model.conflicts())
    for one, other in zip(*found, strict=True):
        assert one["steps"] == other["steps"] > 0
        assert one["mean_cosine"] == pytest.approx(other["mean_cosine"], rel=1e-5)


def test_in_half_precision_with_a_scaled_loss():
    """Also of a method that looks at lengths."""
    surgery = make_weighting("normalized")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = taxi_model()
    finally:
        keras.config.set_dtype_policy(before)
    start = model.get_weights()
    sgd = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=8.0)
    fit(compiled(surgery, sgd, model))
    for one, other, first in zip(
        model.get_weights(), trained_by_hand(surgery).weights, start, strict=True
    ):
        change = np.abs(np.array(other) - first).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=0.05 * change + 1e-6)


def test_a_marked_model_is_saved(tmp_path):
    inputs = keras.Input((4,))
    features = SharedFeatures()(keras.layers.Dense(3)(inputs))
    both = keras.layers.Dense(2)(features)
    model = MultiTaskModel(inputs, {"a": both[:, :1], "b": both[:, 1:]})
    model.compile("sgd", loss="mse", surgery="mgda", gramian="features", **GRAPH)
    x = np.random.default_rng(0).normal(size=(8, 4))
    model.fit(x, {"a": x[:, :1], "b": x[:, 1:2]}, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(x, {"a": x[:, :1], "b": x[:, 1:2]}, verbose=0)
    assert "shared_features" in loaded.describe_gramian()
    np.testing.assert_array_equal(SharedFeatures()(x), x.astype("float32"))


def test_what_is_refused():
    with pytest.raises(ValueError, match='`surgery_every` is 2, with gramian="features"'):
        compiled(surgery_every=2)
    with pytest.raises(ValueError, match="in Keras without `run_eagerly`"):
        fit(compiled(run_eagerly=True, jit_compile="auto"))
