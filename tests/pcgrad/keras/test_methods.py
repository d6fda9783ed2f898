"""Every method in `fit`: state, scale, saving, and the same steps as a loop of one's own."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import (
    FAMO,
    GramWeighting,
    PrimaryTask,
    StatefulWeighting,
    make_weighting,
    weighted_backward,
)
from pcgrad.keras import MultiTaskModel
from pcgrad.methods import METHODS
from pcgrad.weightings.weighting import state_variables

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype("float32")
Y = {
    "a": RNG.normal(size=(48, 1)).astype("float32"),
    "b": 3 * RNG.normal(size=(48, 1)).astype("float32"),
}
STATEFUL = [name for name, made in METHODS.items() if issubclass(made, StatefulWeighting)]


def arguments(method):
    return {"task": 1} if method == "primary_task" else {}


def network(seed=1):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    trunk = keras.layers.Dense(6, activation="tanh")(inputs)
    return inputs, {name: keras.layers.Dense(1)(trunk) for name in Y}


def compiled(surgery, **settings):
    model = MultiTaskModel(*network())
    optimizer = settings.pop("optimizer", None) or keras.optimizers.Adam(0.01)
    loss = dict.fromkeys(Y, "mse")
    model.compile(optimizer, loss=loss, surgery=surgery, **{"run_eagerly": True, **settings})
    return model


def fit(model, epochs=1):
    return model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False)


def assert_same_weights(one, other, **tolerance):
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, **{"rtol": 0, "atol": 0, **tolerance})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_by_its_name(method):
    model = compiled({"method": method, **arguments(method)})
    before = model.get_weights()
    losses = fit(model, epochs=2).history["loss"]
    assert np.isfinite(losses).all()
    assert not any(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_survives_what_python_and_keras_do_to_objects(method):
    weighting = make_weighting(method, **arguments(method))
    losses = tf.constant([0.5, 2.0])
    if hasattr(weighting, "state"):
        for _ in range(2):
            weighting(tf.constant([[2.0, -0.5], [-0.5, 1.0]]), 0, losses)
    serialized = keras.saving.serialize_keras_object(weighting)
    again = keras.saving.deserialize_keras_object(serialized)
    assert repr(again) == repr(weighting)
    for copied in (copy.deepcopy(weighting), pickle.loads(pickle.dumps(weighting))):
        assert repr(copied) == repr(weighting)
        for mine, theirs in zip(state_variables(weighting), state_variables(copied), strict=True):
            assert mine is not theirs
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("method", STATEFUL)
def test_training_goes_on_from_a_saved_model(method, tmp_path):
    model = compiled(method)
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    state = state_variables(model.compiled_training.weighting)
    assert len(state) > 0
    fit(loaded)
    fit(model)
    assert_same_weights(loaded, model)


@pytest.mark.parametrize("method", STATEFUL)
def test_training_goes_on_from_a_checkpoint(method, tmp_path):
    model, other = compiled(method), compiled(method)
    fit(model)
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "state"))
    fit(model)
    fit(other)
    tf.train.Checkpoint(model=other).restore(path)
    fit(other)
    assert_same_weights(other, model)


def test_weights_without_a_state_leave_it_at_its_beginning(tmp_path):
    plain, famo = compiled(None), compiled("famo")
    fit(plain)
    plain.save_weights(tmp_path / "plain.weights.h5")
    famo.load_weights(tmp_path / "plain.weights.h5")
    assert_same_weights(famo, plain)
    fit(famo)
    famo.save_weights(tmp_path / "famo.weights.h5")
    for other in (compiled(None), compiled("uncertainty")):
        other.load_weights(tmp_path / "famo.weights.h5")
        assert_same_weights(other, famo)


def test_famo_in_fit_is_a_loop_of_ones_own():
    model, famo = keras.Model(*network()), FAMO(learning_rate=0.5)
    optimizer = keras.optimizers.Adam(0.01)

    def losses(rows):
        found = model(X[rows])
        return [tf.reduce_mean(tf.square(Y[name][rows] - found[name])) for name in Y]

    for begin in range(0, 48, 16):
        rows = slice(begin, begin + 16)
        with tf.GradientTape() as tape:
            now = losses(rows)
        variables = model.trainable_variables
        update = weighted_backward(tape, now, variables, famo)
        optimizer.apply_gradients(zip(update, variables, strict=True))
        famo.after_step(losses(rows))
    ours = compiled(FAMO(learning_rate=0.5))
    fit(ours)
    assert_same_weights(ours, model, atol=1e-6)
    learned = ours.compiled_training.weighting.state["logits"]
    assert abs(learned[0]) > 0.1
    np.testing.assert_allclose(learned, famo.state["logits"], atol=1e-6)


class InverseSquares(GramWeighting):
    """Weights that depend on the gradients' scale."""

    def _weights(self, gramian):
        return 1 / tf.linalg.diag_part(gramian)


class LossesAndNorms(InverseSquares):
    needs_losses = True

    def _weigh(self, gramian, step, losses, is_usable):
        return losses * self._weights(gramian)


@pytest.mark.parametrize("weighting", [InverseSquares(), LossesAndNorms()])
def test_the_scale_of_mixed_precision_does_not_reach_a_weighting(weighting):
    scaled = keras.optimizers.SGD(0.01, loss_scale_factor=1024.0)
    model = compiled(weighting, optimizer=scaled)
    plain = compiled(weighting, optimizer=keras.optimizers.SGD(0.01))
    fit(model)
    fit(plain)
    assert_same_weights(model, plain, rtol=1e-5, atol=1e-7)


def test_weights_from_losses_take_one_backward_pass_and_are_constants():
    model = compiled("log_losses", optimizer=keras.optimizers.SGD(0.01))
    fit(model)
    assert model.describe_gramian().startswith("one backward pass")
    plain = keras.Model(*network())
    optimizer = keras.optimizers.SGD(0.01)
    for begin in range(0, 48, 16):
        with tf.GradientTape() as tape:
            found = plain(X[begin : begin + 16])
            loss = sum(
                tf.math.log(tf.reduce_mean(tf.square(Y[name][begin : begin + 16] - found[name])))
                for name in Y
            )
        variables = plain.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    assert_same_weights(model, plain, atol=1e-6)


def test_a_primary_task_by_its_name():
    one, other = compiled(PrimaryTask("b")), compiled(PrimaryTask(1))
    fit(one)
    fit(other)
    assert_same_weights(one, other)
    assert repr(one.compiled_training.weighting) == "PrimaryTask(task='b')"
    variable = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = {"a": -variable[0], "b": 2 * variable[0] + variable[1]}
    (update,) = weighted_backward(tape, losses, [variable], PrimaryTask("b"))
    np.testing.assert_allclose(update, [-1 + 1.4 * 2, 1.4], rtol=1e-6)
    with pytest.raises(ValueError, match=r"`task` is 'c'; the tasks are \['a', 'b'\]"):
        compiled(PrimaryTask("c"))
    with pytest.raises(ValueError, match="names of the tasks are not known here; pass the index"):
        PrimaryTask("b")(tf.eye(2))


@pytest.mark.parametrize(
    ("surgery", "message"),
    [
        ("pcgard", "there is no method 'pcgard'; did you mean 'pcgrad'?"),
        ({"method": "famo", "learning_rat": 1}, "no argument 'learning_rat'; did you mean 'lear"),
        ({"method": "log_losses", "c": 1}, "no argument 'c'; it has none"),
        ("xyz", "there are: pcgrad, "),
    ],
)
def test_a_name_that_does_not_exist_names_the_nearest(surgery, message):
    with pytest.raises(ValueError, match=message):
        compiled(surgery)
