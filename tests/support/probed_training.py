"""A small training of two tasks, to be probed."""

import keras
import numpy as np

from pcgrad.keras import MultiTaskModel

ROWS, WIDTH, AREAS = 160, 3, 6
NAN = float("nan")


def rows(count=ROWS, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "numbers": rng.normal(size=(count, WIDTH)).astype("float32"),
        "area": rng.integers(0, AREAS, count),
    }
    level = x["numbers"][:, 0] + 0.3 * (x["area"] % 2)
    y = {
        "price": (level + 0.1 * rng.normal(size=count)).astype("float32")[:, None],
        "sold": (level + rng.normal(size=count) < 0).astype("float32")[:, None],
    }
    y["price"][rng.random(count) < missing] = NAN
    return x, y


def model_of(cls=MultiTaskModel, noisy_layers=False, optimizer=None, **arguments):
    keras.utils.set_random_seed(1)
    numbers = keras.Input((WIDTH,), name="numbers")
    area = keras.Input((), dtype="int64", name="area")
    hidden = keras.layers.Concatenate()([numbers, keras.layers.Embedding(AREAS, 2)(area)])
    hidden = keras.layers.Dense(6, activation="tanh")(hidden)
    if noisy_layers:
        hidden = keras.layers.BatchNormalization()(hidden)
        hidden = keras.layers.Dropout(0.3)(hidden)
    outputs = {
        "price": keras.layers.Dense(1, name="price")(hidden),
        "sold": keras.layers.Dense(1, activation="sigmoid", name="sold")(hidden),
    }
    model = cls({"numbers": numbers, "area": area}, outputs)
    model.compile(
        optimizer or keras.optimizers.SGD(0.1),
        loss={"price": "mse", "sold": "binary_crossentropy"},
        loss_weights={"price": 1.0, "sold": 0.5},
        **arguments,
    )
    return model


def fit(model, *callbacks, x=None, y=None, epochs=3, **arguments):
    if x is None:
        x, y = rows()
    return model.fit(
        x, y, batch_size=32, epochs=epochs, verbose=0, callbacks=list(callbacks), **arguments
    )


def steps_of(probe):
    return [one.step for one in probe.probes]


def same_probes(one, other, tolerance=0.0):
    assert [probe.step for probe in one] == [probe.step for probe in other]
    for left, right in zip(one, other, strict=True):
        for name, value in vars(left).items():
            np.testing.assert_allclose(
                value, getattr(right, name), rtol=tolerance, atol=tolerance, err_msg=name
            )
