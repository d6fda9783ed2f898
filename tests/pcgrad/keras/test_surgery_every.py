"""The Gram matrix and the weights in every k-th step only."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import FAMO, PCGrad, gram_matrix, task_gradients
from pcgrad.keras import MultiTaskModel

RNG = np.random.default_rng(0)
ROWS, BATCH = 64, 8
X = {
    "numeric": RNG.normal(size=(ROWS, 3)).astype("float32"),
    "area": RNG.integers(0, 5, size=ROWS),
}
Y = {name: RNG.normal(size=(ROWS, 1)).astype("float32") for name in "abc"}
SURGERY = PCGrad("sum", seed=2)


def network():
    """With an embedding: sparse gradients."""
    keras.utils.set_random_seed(1)
    numeric, area = keras.Input((3,), name="numeric"), keras.Input((), dtype="int64", name="area")
    joined = keras.layers.Concatenate()([numeric, keras.layers.Embedding(5, 2)(area)])
    trunk = keras.layers.Dense(6, activation="tanh")(joined)
    outputs = {name: keras.layers.Dense(1)(trunk) for name in Y}
    return {"numeric": numeric, "area": area}, outputs


def compiled(every, **settings):
    model = MultiTaskModel(*network())
    settings = {"surgery": SURGERY, "jit_compile": False, **settings}
    model.compile(
        keras.optimizers.SGD(0.1), loss=dict.fromkeys(Y, "mse"), surgery_every=every, **settings
    )
    return model


def fit(model, epochs=1):
    return model.fit(X, Y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0)


def assert_same_weights(one, other):
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def trained_by_hand(every):
    """A gradient for each task in every step; weights now and then."""
    model, rate, weights = keras.Model(*network()), 0.1, None
    variables = model.trainable_variables
    for step in range(ROWS // BATCH):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        with tf.GradientTape(persistent=True) as tape:
            found = model({name: values[rows] for name, values in X.items()})
            losses = [tf.reduce_mean((Y[name][rows] - found[name]) ** 2) for name in Y]
        gradients = task_gradients(tape, losses, variables)
        if step % every == 0:
            weights = SURGERY(gram_matrix(gradients), step).numpy()
        for index, variable in enumerate(variables):
            of_tasks = gradients.of_variable(index)
            alone = len(of_tasks) == 1
            update = sum(
                (1 if alone else weights[task]) * np.array(tf.convert_to_tensor(gradient))
                for task, gradient in of_tasks.items()
            )
            variable.assign(variable - rate * tf.cast(update, tf.float32))
    return model


MODES = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "XLA": {"jit_compile": True},
    "layer by layer": {"gramian": "layerwise"},
    "by cost": {"gramian": "auto"},
}


@pytest.mark.parametrize("mode", MODES)
def test_steps_between_take_the_last_weights(mode):
    model = compiled(3, **MODES[mode])
    fit(model)
    assert_same_weights(model, trained_by_hand(3))


def test_in_every_step_it_is_the_surgery_itself():
    one, other = compiled(1), compiled(2)
    fit(one)
    fit(other)
    assert_same_weights(one, trained_by_hand(1))
    assert np.abs(one.get_weights()[0] - other.get_weights()[0]).max() > 1e-5


def test_conflicts_are_those_of_the_steps_with_a_gram_matrix():
    model = compiled(3)
    fit(model)
    assert {pair["steps"] for pair in model.conflicts()} == {3}  # 0, 3 and 6 of 8
    told = model.describe_gramian()
    assert told.startswith("in every step whose number is a multiple of 3: every gradient from")


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_saved_model_goes_on_with_its_weights(tmp_path, eagerly):
    model = compiled(5, run_eagerly=eagerly)
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    (kept,) = loaded.surgery_variables
    assert np.isfinite(kept.numpy()).all()
    np.testing.assert_array_equal(kept, model.surgery_variables[0])
    if not eagerly:  # there the first step after loading takes the Gram matrix
        fit(loaded)
        fit(model)
        assert_same_weights(loaded, model)


@pytest.mark.parametrize("every", [0, -1, 2.0, "2"])
def test_what_is_no_number_of_steps_is_refused(every):
    with pytest.raises(ValueError, match="`surgery_every` must be an integer of 1 or more, not"):
        compiled(every)


@pytest.mark.parametrize("surgery", [None, FAMO()])
def test_without_a_gram_matrix_there_is_nothing_to_save(surgery):
    with pytest.raises(ValueError, match="`surgery_every` is 2, but no Gram matrix is taken with"):
        compiled(2, surgery=surgery)


def test_weights_of_which_one_is_not_finite_are_not_taken_again():
    steps = []

    def surgery(gramian, step):
        steps.append(int(step))
        return tf.constant([np.inf if len(steps) == 1 else 1.0, 1.0, 1.0], tf.float64)

    model = compiled(10, surgery=surgery, run_eagerly=True)
    for _ in range(4):
        model.train_on_batch(
            {name: values[:BATCH] for name, values in X.items()},
            {name: values[:BATCH] for name, values in Y.items()},
        )
    assert steps == [0, 1]
