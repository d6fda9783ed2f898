"""Keras's optimizer options act on the combined gradient, after the surgery."""

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
)
from pcgrad import PCGrad, PPCGrad, projection_orders
from pcgrad.keras import MultiTaskModel

SEED, RATE, LOSS_WEIGHTS = 1, 0.1, {"tip": 3.0, "fare": 1.0, "zone": 5.0}
HALVES = slice(0, 12), slice(12, 24)


def updates_by_hand(model: keras.Model, rows: slice, step: int = 0) -> list[np.ndarray]:
    """What the optimizer is given: the projected sum, and regularization as it is."""
    x, y = taxi_data()
    y["fare"] = y["fare"][:, np.newaxis]
    variables = model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        outputs = model({name: tf.constant(value[rows]) for name, value in x.items()})
        losses = [
            LOSS_WEIGHTS[task]
            * tf.reduce_mean(keras.losses.get(loss)(y[task][rows], outputs[task]))
            for task, loss in TAXI_LOSSES.items()
        ]
        penalty = tf.add_n(model.losses)
    *of_tasks, of_penalty = (
        [
            None if g is None else tf.convert_to_tensor(g).numpy()
            for g in tape.gradient(t, variables)
        ]
        for t in [*losses, penalty]
    )
    update = reference.update(of_tasks, projection_orders(SEED, step, 3).numpy().tolist())
    return [
        change + (0 if regular is None else regular)
        for change, regular in zip(update, of_penalty, strict=True)
    ]


def compiled(surgery_class, optimizer, mode: str) -> MultiTaskModel:
    model = taxi_model()
    model.compile(
        optimizer,
        loss=TAXI_LOSSES,
        loss_weights=LOSS_WEIGHTS,
        surgery=surgery_class("sum", seed=SEED),
        **MODES[mode],
    )
    return model


def train(model: MultiTaskModel, rows: slice) -> None:
    x, y = taxi_data()
    model.train_on_batch(
        {name: value[rows] for name, value in x.items()},
        {task: value[rows] for task, value in y.items()},
    )
    assert sum(pair["conflicting"] for pair in model.conflicts()) > 0


def norm(gradient: np.ndarray) -> float:
    return np.sqrt(np.sum(np.square(gradient)))


def clipped(name: str, gradients: list[np.ndarray], value: float) -> list[np.ndarray]:
    if name == "clipvalue":
        return [np.clip(gradient, -value, value) for gradient in gradients]
    of_all = np.sqrt(sum(norm(gradient) ** 2 for gradient in gradients))
    norms = [of_all if name == "global_clipnorm" else norm(gradient) for gradient in gradients]
    return [g * min(1, value / length) for g, length in zip(gradients, norms, strict=True)]


@pytest.mark.parametrize(
    ("option", "value", "surgery_class", "mode"),
    [
        ("clipnorm", 0.3, PCGrad, "eager"),
        ("global_clipnorm", 0.5, PPCGrad, "eager"),
        ("clipvalue", 0.1, PCGrad, "eager"),
        ("clipnorm", 0.3, PPCGrad, "graph"),
        ("global_clipnorm", 0.5, PCGrad, "xla"),
    ],
)
def test_clipping_comes_after_the_surgery(option, value, surgery_class, mode):
    model = compiled(surgery_class, keras.optimizers.SGD(RATE, **{option: value}), mode)
    gradients = updates_by_hand(model, slice(None))
    after = clipped(option, gradients, value)
    assert any(norm(one - other) > 0.01 for one, other in zip(gradients, after, strict=True))
    expected = [
        variable.numpy() - RATE * change
        for variable, change in zip(model.trainable_variables, after, strict=True)
    ]
    train(model, slice(None))
    assert_same(model.trainable_variables, expected, tolerance=1e-5)


@pytest.mark.parametrize(("surgery_class", "mode"), [(PCGrad, "eager"), (PPCGrad, "graph")])
def test_accumulated_are_the_combined_gradients_of_each_batch(surgery_class, mode):
    """Each in the orders of a step of its own."""
    optimizer = keras.optimizers.SGD(RATE, gradient_accumulation_steps=2)
    model = compiled(surgery_class, optimizer, mode)
    before = [variable.numpy() for variable in model.trainable_variables]
    first, second = (updates_by_hand(model, rows, step) for step, rows in enumerate(HALVES))
    train(model, HALVES[0])
    assert_same(model.trainable_variables, before, tolerance=0)
    train(model, HALVES[1])
    expected = [
        variable - RATE * (one + other) / 2
        for variable, one, other in zip(before, first, second, strict=True)
    ]
    assert_same(model.trainable_variables, expected, tolerance=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_each_of_the_accumulated_batches_is_a_step(scaled):
    steps = []

    def weights(gramian, step):
        steps.append(int(step))
        return tf.ones_like(gramian[0])

    optimizer = keras.optimizers.SGD(RATE, gradient_accumulation_steps=3)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
    model = linear_model(surgery=weights, optimizer=optimizer)
    for _ in range(5):
        model.train_on_batch(UNIT_ROWS, CONFLICTING)
    assert steps == [0, 1, 2, 3, 4]


# By hand: after the surgery the gradient is (0.5, 1.5).
CONFLICTING = labels(a=[2, 0], b=[-2, 2])


def test_a_fixed_loss_scale_is_undone():
    """In the update, and in the norms that `fit` reports."""
    optimizer = keras.optimizers.SGD(1.0, loss_scale_factor=64.0)
    model = linear_model(surgery=PCGrad("sum"), optimizer=optimizer)
    model.train_on_batch(UNIT_ROWS, CONFLICTING)
    np.testing.assert_allclose(model.get_layer("trunk").kernel, [[-0.5], [-1.5]], rtol=1e-6)
    assert model.gradient_norms() == pytest.approx({"a": 1.0, "b": 2**0.5})


def test_a_loss_scale_that_changes_is_undone_in_the_norms():
    """The second step, with twice the scale, begins as the first one ends."""
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.0), initial_scale=8.0, dynamic_growth_steps=1
    )
    model = linear_model(surgery=PCGrad("sum"), optimizer=optimizer)
    for scale in (8, 16):
        assert float(optimizer.dynamic_scale if optimizer.built else 8) == scale
        model.reset_metrics()
        model.train_on_batch(UNIT_ROWS, CONFLICTING)
        assert model.gradient_norms() == pytest.approx({"a": 1.0, "b": 2**0.5})


def test_the_moving_average_is_of_the_trained_weights():
    """The weights after the two steps are -1 and -2 times the gradient; at the end their mean."""
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    model = linear_model(surgery=PCGrad("sum"), optimizer=optimizer)
    twice = {task: np.tile(values, 2) for task, values in CONFLICTING.items()}
    model.fit(np.tile(UNIT_ROWS, [2, 1]), twice, batch_size=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_layer("trunk").kernel, [[-0.75], [-2.25]], rtol=1e-6)
