"""At which steps of a training `ConflictProbe` probes."""

import keras
import tensorflow as tf

from pcgrad.keras import ConflictProbe, MultiTaskModel
from probed_training import fit, model_of, rows, steps_of


def test_a_subclass_is_probed_as_soon_as_it_has_weights():
    class Own(MultiTaskModel):
        def __init__(self):
            super().__init__()
            self.trunk, self.heads = keras.layers.Dense(4), [keras.layers.Dense(1) for _ in "ab"]

        def call(self, x):
            hidden = self.trunk(x["numbers"])
            return dict(zip(("price", "sold"), [head(hidden) for head in self.heads], strict=True))

    model = Own()
    model.compile("sgd", loss={"price": "mse", "sold": "mse"})
    probe = ConflictProbe(*rows())
    fit(model, probe)
    assert [one.step for one in probe.probes] == list(range(1, 15))


def test_the_probes_are_denser_at_the_beginning():
    """The n-th of five at N n²/25."""
    probe = ConflictProbe(*rows(), probes=5)
    fit(model_of(), probe, epochs=15)
    assert steps_of(probe) == [0, 3, 12, 27, 48]


def test_a_short_training_has_as_many_as_it_has_steps():
    probe = ConflictProbe(*rows(), probes=48)
    fit(model_of(), probe, epochs=2)
    assert steps_of(probe) == list(range(10))


def test_of_unknown_length():
    """At squares in the first epoch, then as if the length had been known."""
    x, y = rows()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16).filter(lambda *_: True)
    probe = ConflictProbe(x, y, probes=5)
    model_of().fit(batches, epochs=15, verbose=0, callbacks=[probe])
    # 150 steps: the places are 6 n². That after 9 was set before. The last is the end.
    assert steps_of(probe) == [0, 1, 4, 9, 16, 24, 54, 96, 150]


def test_a_training_that_is_stopped_early_has_enough_probes():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 4

    probe = ConflictProbe(*rows(), probes=20)
    fit(model_of(), probe, Stop(), epochs=20)
    assert steps_of(probe) == [0, 1, 3, 4, 7, 9, 13, 16, 21]


def test_several_steps_at_once():
    """A probe comes with the first call of `fit`'s function at or after its place."""
    probe = ConflictProbe(*rows(), probes=5)
    fit(model_of(steps_per_execution=2), probe, epochs=15)
    assert steps_of(probe) == [0, 4, 12, 27, 49]
