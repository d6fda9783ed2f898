"""`class_weight` where Keras allows it: for a model with one output."""

import keras
import numpy as np
import pytest

from multitask_models import assert_same
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 3
WEIGHT = {0: 1.0, 1: 5.0, 2: 0.2}


def compiled(cls, heads: int) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(4, activation="tanh")(inputs)
    outputs = [keras.layers.Dense(3, activation="softmax")(shared) for _ in range(heads)]
    model = cls(inputs, outputs[0] if heads == 1 else outputs)
    arguments = {"surgery": PCGrad("sum")} if cls is MultiTaskModel else {}
    losses = ["sparse_categorical_crossentropy"] * heads
    loss = losses[0] if heads == 1 else losses
    model.compile("sgd", loss=loss, run_eagerly=True, **arguments)
    return model


def fit(model: keras.Model, y, class_weight=None) -> list[float]:
    fitted = model.fit(
        X, y, batch_size=6, shuffle=False, verbose=0, epochs=2, class_weight=class_weight
    )
    return fitted.history["loss"]


def test_one_output():
    ours, wanted, unweighted = (compiled(cls, 1) for cls in (MultiTaskModel, *[keras.Model] * 2))
    losses = fit(ours, Y, WEIGHT)
    np.testing.assert_allclose(losses, fit(wanted, Y, WEIGHT), rtol=1e-6)
    assert_same(ours.weights, wanted.weights)
    assert np.abs(np.subtract(losses, fit(unweighted, Y))).min() > 0.1


def test_one_batch():
    found = []
    for cls in (MultiTaskModel, keras.Model):
        model = compiled(cls, 1)
        logs = [model.train_on_batch(X, Y, class_weight=WEIGHT) for _ in range(2)]
        found.append([logs, *model.get_weights()])
    assert_same(*found)


def test_several_outputs_are_refused_as_by_keras_model():
    for cls in (MultiTaskModel, keras.Model):
        with pytest.raises(ValueError, match="`class_weight` is only supported .* single output"):
            fit(compiled(cls, 2), [Y, Y], WEIGHT)
