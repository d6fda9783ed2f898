"""PCGrad in `fit`: `MultiTaskModel` in place of `keras.Model`, and `surgery=` in `compile`."""

import keras
import numpy as np

from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

keras.utils.set_random_seed(0)
generator = np.random.default_rng(0)
x = generator.normal(size=(400, 8)).astype("float32")
labels = {
    "price": x[:, :3].sum(axis=1, keepdims=True),
    "sold": (x[:, 1:4].sum(axis=1, keepdims=True) < 0).astype("float32"),
}
# A label that is missing: the row still trains the other task.
labels["price"][:50] = np.nan

inputs = keras.Input((8,))
shared = keras.layers.Dense(16, activation="relu")(inputs)
outputs = {
    "price": keras.layers.Dense(1, name="price")(shared),
    "sold": keras.layers.Dense(1, activation="sigmoid", name="sold")(shared),
}
model = MultiTaskModel(inputs, outputs)
model.compile(
    keras.optimizers.Adam(0.01),
    loss={"price": "mse", "sold": "binary_crossentropy"},
    metrics={"sold": ["auc"]},
    surgery=PCGrad("sum"),
)
model.fit(x, labels, epochs=10, validation_split=0.2, verbose=2)
for pair in model.conflicts():
    print(
        f"{' and '.join(pair['tasks'])}: mean cosine {pair['mean_cosine']:.2f}, "
        f"{pair['conflicting']:.0%} of the steps conflict"
    )
