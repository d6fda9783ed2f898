"""PCGrad in `fit`: `MultiTaskModel` in place of `keras.Model`, and `surgery=` in `compile`.

A `ConflictProbe` measures what the tasks leave of each other's progress.
"""

import keras
import numpy as np

from pcgrad import PCGrad
from pcgrad.keras import ConflictProbe, MultiTaskModel

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
probe = ConflictProbe(x, labels)
model.fit(x, labels, epochs=10, verbose=2, callbacks=[probe])
for task, found in probe.summary()["tasks"].items():
    kept = found["kept"]
    if kept["value"] is None:
        print(f"{task}: its gradient is noise here")
    else:
        print(
            f"{task} keeps {kept['value']:.0%} of its own progress "
            f"({kept['low']:.0%} to {kept['high']:.0%})"
        )
