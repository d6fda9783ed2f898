"""Half precision and loss scaling, in `fit` and in a loop of one's own."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import (
    TAXI_LOSSES,
    UNIT_ROWS,
    assert_same,
    labels,
    linear_model,
    taxi_data,
    taxi_model,
)
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def scaled(optimizer: keras.optimizers.Optimizer, scale: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale)


def trained(cls: type[keras.Model], **compile_arguments) -> tuple[keras.Model, dict]:
    model = taxi_model(cls)
    model.compile(keras.optimizers.SGD(0.05), loss=TAXI_LOSSES, **compile_arguments)
    x, y = taxi_data()
    history = model.fit(x, y, batch_size=8, epochs=6, shuffle=False, verbose=0).history
    return model, history


def test_fit_learns_and_stays_finite(policy, surgery_class):
    model, history = trained(MultiTaskModel, surgery=surgery_class("sum", seed=2))
    is_scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert is_scaled == (policy == "mixed_float16")
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert all(np.isfinite(values).all() for values in history.values())
    keras.config.set_dtype_policy("float32")
    _, expected = trained(MultiTaskModel, surgery=surgery_class("sum", seed=2))
    # In float16 the first step overflows and is skipped.
    assert history["loss"][-1] == pytest.approx(expected["loss"][-1], rel=0.1)
    for task in TAXI_LOSSES:
        norms = history[f"{task}_gradient_norm"][-1], expected[f"{task}_gradient_norm"][-1]
        assert norms[0] == pytest.approx(norms[1], rel=0.25)


def test_without_surgery_training_is_keras_models(policy):
    ours, history = trained(MultiTaskModel)
    keras_model, expected = trained(keras.Model)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=0.02)
    for weight, wanted in zip(ours.get_weights(), keras_model.get_weights(), strict=True):
        np.testing.assert_allclose(weight, wanted, atol=0.01)


@pytest.mark.parametrize("scale", [2.0**15, 2.0**-8])
def test_loss_scaling_commutes_with_the_surgery(surgery_class, scale):
    models = []
    for optimizer in (keras.optimizers.Adam(0.01), scaled(keras.optimizers.Adam(0.01), scale)):
        model = taxi_model()
        surgery = surgery_class("mean", seed=1)
        model.compile(optimizer, loss=TAXI_LOSSES, surgery=surgery, run_eagerly=True)
        x, y = taxi_data()
        model.fit(x, y, batch_size=12, shuffle=False, verbose=0)
        models.append(model)
    one, other = models
    assert_same(one.trainable_variables, other.trainable_variables, 1e-5)
    assert other.gradient_norms() == pytest.approx(one.gradient_norms(), rel=1e-4)
    for pair, same in zip(one.conflicts(), other.conflicts(), strict=True):
        assert pair["mean_cosine"] == pytest.approx(same["mean_cosine"], abs=1e-5)


def test_an_overflow_skips_the_step_and_lowers_the_scale(mode):
    """One task's gradient overflows; without its being noticed the other task would be trained."""
    optimizer = scaled(keras.optimizers.SGD(1.0), 2.0**127)
    model = linear_model(surgery=PCGrad("sum"), optimizer=optimizer, **mode)
    trunk = model.get_layer("trunk").kernel
    y = labels(a=[8, 0], b=[0, 1e-3])
    model.train_on_batch(UNIT_ROWS, y)
    np.testing.assert_array_equal(trunk, np.zeros((2, 1)))
    assert float(optimizer.dynamic_scale) == 2.0**126
    for _ in range(10):
        model.train_on_batch(UNIT_ROWS, y)
    assert float(optimizer.dynamic_scale) < 2.0**126
    assert np.isfinite(trunk.numpy()).all()
    assert trunk.numpy()[0, 0] < 0
    assert np.isfinite(list(model.gradient_norms().values())).all()


def test_a_loop_of_ones_own(policy, surgery_class):
    model = taxi_model()
    x, y = taxi_data()
    optimizer = scaled(keras.optimizers.SGD(0.05), 2.0**60)
    optimizer.build(model.trainable_variables)
    surgery = surgery_class("sum", seed=0)
    losses_of = {name: keras.losses.get(loss) for name, loss in TAXI_LOSSES.items()}

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape(persistent=True) as tape:
            predictions = model(x, training=True)
            losses = {
                name: tf.reduce_mean(loss(y[name], tf.cast(predictions[name], tf.float32)))
                for name, loss in losses_of.items()
            }
            scaled_losses = {name: optimizer.scale_loss(loss) for name, loss in losses.items()}
        gradients = surgery.pc_backward(tape, scaled_losses, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return tf.add_n(list(losses.values()))

    totals = [float(step()) for _ in range(80)]
    assert float(optimizer.dynamic_scale) < 2.0**60 or policy == "mixed_bfloat16"
    assert totals[-1] < totals[0]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_saved_model_scales_its_losses_once(tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = taxi_model()
        model.compile("sgd", loss=TAXI_LOSSES, surgery=PCGrad("sum"))
    finally:
        keras.config.set_dtype_policy(before)
    x, y = taxi_data()
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(loaded.optimizer.inner_optimizer, keras.optimizers.SGD)
    loaded.fit(x, y, verbose=0)
    model.fit(x, y, verbose=0)
    assert_same(loaded.trainable_variables, model.trainable_variables, 1e-3)
