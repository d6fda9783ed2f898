"""The optimizer of a compiled model."""

import numpy as np
import pytest
import tensorflow as tf

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.training.building import compile_model
from pcgrad_tfx.training.model import build_model

TASKS = [Task(name=name, kind="binary", column=name) for name in ("tip", "late")]
SPEC = {"miles_xf": tf.io.FixedLenFeature([], tf.float32)}


def compiled(steps=10, **training):
    config = TrainerConfig(
        tasks=TASKS, features=Features(numeric=("miles",)), hidden_units=(4,), **training
    )
    model = build_model(SPEC, TASKS, config, {}, {})
    compile_model(model, config, TASKS, {}, steps=steps)
    return model


@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_what_shifts_and_scales_does_not_decay(normalization):
    model = compiled(
        weight_decay=0.5, optimizer="sgd", learning_rate=0.1, normalization=normalization,
        learning_rate_schedule="constant",
    )  # fmt: skip
    for variable in model.trainable_variables:
        variable.assign(tf.ones(variable.shape))
    model.optimizer.apply([tf.zeros(variable.shape) for variable in model.trainable_variables])
    after = {variable.path: float(np.mean(variable)) for variable in model.trainable_variables}
    kernels = {path: value for path, value in after.items() if path.endswith("kernel")}
    assert kernels
    assert list(kernels.values()) == pytest.approx([1 - 0.1 * 0.5] * len(kernels))
    others = {path.rpartition("/")[2] for path in after if path not in kernels}
    assert others == {"bias", "gamma", "beta"}
    assert {value for path, value in after.items() if path not in kernels} == {1.0}


def test_a_constant_rate_may_be_warmed_up():
    model = compiled(steps=20, learning_rate=0.2, learning_rate_schedule="constant", warmup=0.25)
    optimizer, rates = model.optimizer, []
    for _ in range(8):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([tf.zeros(v.shape) for v in model.trainable_variables])
    assert rates == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.2, 0.2])
