"""`surgery=None` is `keras.Model`; with a surgery only conflicts make a difference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import reference
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
from pcgrad import PCGrad, PPCGrad, equal_weights, projection_orders
from pcgrad.keras import MultiTaskModel


def trained(cls: type[keras.Model], mode: dict[str, bool]) -> tuple[keras.Model, dict]:
    """Losses, loss weights, metrics, sample weights, regularization, Adam, several epochs."""
    model = taxi_model(cls)
    model.compile(
        keras.optimizers.Adam(0.05),
        loss=TAXI_LOSSES,
        loss_weights={"tip": 2.0, "fare": 0.5, "zone": 1.0},
        metrics={"fare": ["mae"], "zone": ["accuracy"]},
        weighted_metrics={"tip": ["binary_accuracy"]},
        **mode,
    )
    x, y = taxi_data()
    history = model.fit(
        x, y, sample_weight=taxi_weights(), batch_size=8, epochs=3, shuffle=False, verbose=0
    )
    return model, history.history


def test_without_surgery_training_is_keras_models(mode):
    ours, our_history = trained(MultiTaskModel, mode)
    keras_model, keras_history = trained(keras.Model, mode)
    assert_same(ours.weights, keras_model.weights, tolerance=1e-5)
    assert_same(ours.optimizer.variables, keras_model.optimizer.variables, tolerance=1e-5)
    for name, values in keras_history.items():
        np.testing.assert_allclose(our_history[name], values, rtol=1e-5, err_msg=name)
    assert set(our_history) == set(keras_history)


def test_a_step_is_traced_once():
    """The optimizer's variables are made before: Keras traces a step twice that makes some."""
    traces = []

    class Traced(MultiTaskModel):
        def train_step(self, data):
            traces.append(tf.executing_eagerly())
            return super().train_step(data)

    model = taxi_model(Traced)
    model.compile("adam", loss=TAXI_LOSSES, surgery=PCGrad("sum"), jit_compile=False)
    # A layer that is frozen after `compile` is trained no more, as ever.
    model.layers[-1].trainable = False
    model.fit(*taxi_data(), batch_size=8, verbose=0)
    assert traces == [False]
    assert len(model.optimizer.variables) == 2 + 2 * len(model.trainable_variables)


def halves_and_doubles(gramian, step):
    """Weights that do not depend on the Gram matrix."""
    return tf.constant([0.5, 2.0, 1.0][: gramian.shape[0]], tf.float64)


halves_and_doubles.needs_gramian = False


@pytest.mark.parametrize(
    ("surgery", "passes"),
    [(None, 1), (equal_weights, 1), (halves_and_doubles, 1), (PCGrad("sum"), 4)],
)
def test_one_backward_pass_is_enough_for_what_needs_no_gram_matrix(surgery, passes, monkeypatch):
    """With a surgery one for each task and one for the regularization."""
    differentiated, gradient = [], tf.GradientTape.gradient

    def counted(tape, target, *args, **kwargs):
        differentiated.append(target)
        return gradient(tape, target, *args, **kwargs)

    model = taxi_model()
    model.compile("sgd", loss=TAXI_LOSSES, surgery=surgery, run_eagerly=True)
    monkeypatch.setattr(tf.GradientTape, "gradient", counted)
    model.train_on_batch(*taxi_data())
    assert len(differentiated) == passes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("measured", [False, True])
def test_weights_that_need_no_gram_matrix_are_those_of_the_losses(mode, measured):
    """Of heads, too, and not of the regularization; also while conflicts are followed."""

    def weights(surgery, loss_weights):
        model = taxi_model()
        model.compile(
            keras.optimizers.SGD(0.1), TAXI_LOSSES, loss_weights, surgery=surgery, **MODES[mode]
        )
        model.follows_conflicts = measured
        model.train_on_batch(*taxi_data())
        return model.get_weights()

    weighted = weights(halves_and_doubles, {"tip": 3.0})
    assert_same(weighted, weights(None, {"tip": 1.5, "fare": 2.0}), tolerance=1e-5)


def agreeing_step(surgery, optimizer: str, mode: dict[str, bool]) -> keras.Model:
    """A step in which every task wants larger trunk activations, in every row."""
    model = taxi_model()
    model.get_layer("tip").kernel.assign(np.ones((6, 1)))
    model.get_layer("fare").kernel.assign(np.ones((6, 1)))
    model.get_layer("zone").kernel.assign(np.eye(3)[[0] * 6])
    x, _ = taxi_data()
    y = {
        "tip": np.ones((24, 1), np.float32),
        "fare": np.array(model(x)["fare"][:, 0] + 1),
        "zone": np.zeros(24, np.int64),
    }
    model.compile(optimizer, loss=TAXI_LOSSES, surgery=surgery, **mode)
    model.train_on_batch(x, y)
    return model


@pytest.mark.parametrize(
    ("surgery_class", "mode", "optimizer"),
    [
        (PCGrad, "eager", "sgd"),
        (PPCGrad, "eager", "adam"),
        (PCGrad, "graph", "adam"),
        (PPCGrad, "graph", "sgd"),
        (PCGrad, "xla", "adam"),
    ],
)
def test_a_step_without_conflict_equals_the_plain_step(surgery_class, mode, optimizer):
    """For every variable: trunk, embedding, heads, regularized ones."""
    mode = MODES[mode]
    plain = agreeing_step(None, optimizer, mode)
    with_surgery = agreeing_step(surgery_class("sum"), optimizer, mode)
    assert [pair["conflicting"] for pair in with_surgery.conflicts()] == [0.0] * 3
    assert with_surgery.losses  # regularization takes part
    assert_same(with_surgery.weights, plain.weights)
    assert_same(with_surgery.optimizer.variables, plain.optimizer.variables)


@pytest.mark.parametrize(
    ("surgery_class", "reduction", "mode"),
    [
        (PCGrad, "sum", "eager"),
        (PCGrad, "mean", "eager"),
        (PPCGrad, "sum", "eager"),
        (PCGrad, "sum", "graph"),
        (PPCGrad, "mean", "xla"),
    ],
)
def test_a_step_with_conflicts_is_surgery_plus_plain_regularization(surgery_class, reduction, mode):
    """The update by hand: task losses weighted, then projected; regularization as it is."""
    x, y = taxi_data()
    loss_weights = {"tip": 3.0, "fare": 1.0, "zone": 5.0}
    model = taxi_model()
    variables = model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        outputs = model({name: tf.constant(value) for name, value in x.items()})
        losses = [
            loss_weights[task] * tf.reduce_mean(keras.losses.get(loss)(y_true, outputs[task]))
            for (task, loss), y_true in zip(
                TAXI_LOSSES.items(), [y["tip"], y["fare"][:, np.newaxis], y["zone"]], strict=True
            )
        ]
        penalty = tf.add_n(model.losses)
    as_array = [
        [
            None if g is None else tf.convert_to_tensor(g).numpy()
            for g in tape.gradient(t, variables)
        ]
        for t in [*losses, penalty]
    ]
    orders = projection_orders(1, 0, 3).numpy().tolist()
    update = reference.update(as_array[:3], orders, reduction)
    expected = [
        variable.numpy() - 0.1 * (gradient + (0 if regular is None else regular))
        for variable, gradient, regular in zip(variables, update, as_array[3], strict=True)
    ]
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=TAXI_LOSSES,
        loss_weights=loss_weights,
        surgery=surgery_class(reduction, seed=1),
        **MODES[mode],
    )
    model.train_on_batch(x, y)
    assert sum(pair["conflicting"] for pair in model.conflicts()) > 0
    assert_same(variables, expected, tolerance=1e-5)


def test_a_variable_that_only_regularization_reaches_is_trained():
    model = linear_model(surgery=PCGrad("sum"))
    inputs = model.input
    aside = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.5), name="aside")
    outputs = {**model.output, "unused": aside(inputs)}
    wider = MultiTaskModel(inputs, outputs)
    wider.compile(
        keras.optimizers.SGD(0.1),
        loss={"a": "mse", "b": "mse"},
        surgery=PCGrad("sum"),
        jit_compile=False,
    )
    before = aside.kernel.numpy()
    wider.train_on_batch(UNIT_ROWS, labels(a=[1, 1], b=[1, 1]))
    np.testing.assert_allclose(aside.kernel, 0.9 * before, rtol=1e-6)


def test_surgery_of_opposite_tasks_on_known_gradients():
    """g_a = (1, 0) and g_b = (-1, 1): by hand (0.5, 0.5) and (0, 1), halved by the mean."""
    batch = labels(a=[2, 0], b=[-2, 2])
    for surgery, expected in [
        (None, [0.0, 1.0]),
        (PCGrad("sum"), [0.5, 1.5]),
        (PPCGrad("mean"), [0.25, 0.75]),
    ]:
        model = linear_model(surgery=surgery)
        model.train_on_batch(UNIT_ROWS, batch)
        kernel = model.get_layer("trunk").kernel.numpy()
        np.testing.assert_allclose(-kernel[:, 0], expected, atol=1e-6)


def test_a_users_own_weighting():
    """A plain function; the step it sees is the optimizer's."""
    steps = []

    def first_task_only(gramian, step):
        steps.append(int(step))
        return tf.one_hot(0, gramian.shape[0], dtype=gramian.dtype)

    model = linear_model(surgery=first_task_only, run_eagerly=True)
    for _ in range(3):
        model.train_on_batch(UNIT_ROWS, labels(a=[2, 0], b=[-2, 2]))
    assert steps == [0, 1, 2]
    np.testing.assert_allclose(model.get_layer("trunk").kernel, [[-3.0], [0.0]])


def test_the_same_seed_trains_the_same_model_and_another_one_does_not():
    """Three conflicting tasks: here the orders of the projections matter."""
    batch = labels(a=[2, 0.4], b=[-1.6, 2], c=[-0.6, -1.8])

    def kernel(seed: int) -> np.ndarray:
        model = linear_model("abc", surgery=PCGrad("sum", seed=seed))
        for _ in range(10):
            model.train_on_batch(UNIT_ROWS, batch)
        return model.get_layer("trunk").kernel.numpy()

    np.testing.assert_array_equal(kernel(0), kernel(0))
    assert len({kernel(seed).tobytes() for seed in range(5)}) > 1
