"""Which epoch's weights are kept, and when training stops."""

from unittest import mock

import keras
import numpy as np
import pytest

from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.training.building import weight_callbacks
from pcgrad_tfx.training.callbacks.best_epoch import BestEpoch
from pcgrad_tfx.training.callbacks.loss_ranges import LossRange
from trips import TASKS, trainer_config

pytestmark = pytest.mark.usefixtures("not_exported")

RANGES = {"sold": LossRange(0.5), "price": LossRange(4.0, perfect=1.0)}


def epochs_of(gains, *, patience=0, keeps_weights=True):
    """A model of one weight, which is the epoch's number; and the last epoch trained."""
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    best = BestEpoch(model, RANGES, patience, keeps_weights)
    best.set_model(model)
    model.stop_training = False
    for epoch, gain in enumerate(gains):
        model.set_weights([np.full([1, 1], epoch)])
        # Both tasks have half of it more or less.
        evaluated = {
            "sold_loss": 0.5 * (1 - gain - 0.1),
            "price_loss": 1 + 3 * (1 - gain + 0.1),
        }
        logs = {}
        best.on_epoch_begin(epoch)
        best.on_test_end(evaluated)
        best.on_epoch_end(epoch, logs)
        assert logs["val_gain"] == pytest.approx(gain, nan_ok=True)
        if model.stop_training:
            break
    best.restore()
    return best, float(model.get_weights()[0][0, 0]), epoch


@pytest.mark.parametrize(
    ("gains", "patience", "kept", "last"),
    [
        ([0.1, 0.3, 0.2, 0.25], 0, 1, 3),
        ([0.1, 0.3, 0.2, 0.25, 0.9], 2, 1, 3),
        ([0.1, 0.3, 0.2, 0.35, 0.2, 0.1, 0.0], 2, 3, 5),
        # Equal ones are no better, and worse than a constant may still be the best.
        ([0.3, 0.3, 0.3], 1, 0, 1),
        ([-3.0, -2.0, -2.5], 0, 1, 2),
        ([np.nan, 0.2, np.nan], 5, 1, 2),
    ],
)
def test_the_best_epoch_is_kept(gains, patience, kept, last):
    best, weight, ended = epochs_of(gains, patience=patience)
    assert (best.epoch, weight, ended) == (kept, kept, last)
    assert best.gain == pytest.approx(gains[kept])


def test_the_last_weights_where_none_are_to_be_kept():
    best, weight, _ = epochs_of([0.3, 0.2, 0.1], keeps_weights=False)
    assert (best.epoch, weight) == (0, 2)


def test_without_labels_in_eval_nothing_is_judged():
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    best = BestEpoch(model, {}, 1, True)
    best.set_model(model)
    model.set_weights([np.full([1, 1], 7.0)])
    model.stop_training = False
    for epoch in range(5):
        best.on_epoch_begin(epoch)
        best.on_test_end({"loss": 1.0})
        best.on_epoch_end(epoch, {"loss": 1.0})
    best.restore()
    assert best.epoch is None
    assert not model.stop_training
    assert model.get_weights()[0] == 7.0


class _Weights(keras.callbacks.Callback):
    """The weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.after = []

    def on_epoch_end(self, epoch, logs=None):
        self.after.append(self.model.get_weights())


@pytest.mark.parametrize("restore_best", [True, False])
def test_the_saved_model_is_that_of_the_best_epoch(
    transformed_data, tmp_path, capsys, restore_best
):
    weights = _Weights()
    config = trainer_config(epochs=30, patience=2, restore_best=restore_best, learning_rate=0.3)
    run = transformed_data.train(tmp_path, config, callbacks=[weights])
    gains = run.history["val_gain"]
    best = int(np.argmax(gains))
    assert len(gains) == best + 3 < 30
    kept = best if restore_best else best + 2
    for found, wanted in zip(run.weights, weights.after[kept], strict=True):
        np.testing.assert_array_equal(found, wanted)
    said = f"  kept: epoch {best + 1}, mean gain on eval {gains[best]:.3f}"
    assert (said in capsys.readouterr().out) == restore_best


def test_a_number_of_steps_is_kept_to(transformed_data, tmp_path):
    config = trainer_config(learning_rate=0.3)
    run = transformed_data.train(tmp_path, config, train_steps=100)
    assert run.steps == 100


def test_a_moving_average_is_what_is_judged_and_kept():
    """The weights that the evaluation saw, not those that training goes on with."""
    config = TrainerConfig(tasks=TASKS, embedding_sizes={}, ema=0.5)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.4, use_ema=True, ema_momentum=config.ema), "mse")
    evaluated, seen = [], []

    class Watch(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            evaluated.append((logs["loss"], model.get_weights()[0].item()))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(model.get_weights()[0].item())

    x, y = np.ones([8, 1]), np.full([8, 1], 3.0)
    best = BestEpoch(model, {"sold": LossRange(1.0)}, 0, True)
    with mock.patch.object(
        best, "on_test_end", lambda logs: BestEpoch.on_test_end(best, {"sold_loss": logs["loss"]})
    ):
        model.fit(
            x, y, validation_data=(x, y), epochs=6, verbose=0,
            callbacks=weight_callbacks(config, best, Watch()),
        )  # fmt: skip
    best.restore()
    lowest = min(evaluated)
    assert model.get_weights()[0].item() == lowest[1]
    assert lowest[1] not in seen
