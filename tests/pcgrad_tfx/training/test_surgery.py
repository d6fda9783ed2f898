"""Methods by name in the Trainer."""

import numpy as np
import pytest
import tensorflow as tf

from pcgrad.methods import METHODS
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.surgery import PRIMARY_TASK
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.training.building import compile_model
from pcgrad_tfx.training.model import build_model
from trips import TASKS, trainer_config

pytestmark = pytest.mark.long

BINARY = [Task(name=name, kind="binary", column=name) for name in ("tip", "late")]


def made(surgery, tasks=BINARY):
    """What a configuration's model is compiled with."""
    features = Features(numeric=("miles",))
    config = TrainerConfig(
        tasks=tasks, features=features, hidden_units=(4,), surgery=surgery, seed=5
    )
    spec = {"miles_xf": tf.io.FixedLenFeature([], tf.float32)}
    model = build_model(spec, tasks, config, {}, {})
    compile_model(model, config, tasks, {}, steps=10, steps_per_epoch=7)
    return model.compiled_training.weighting


def test_what_is_left_open_fits_the_training():
    assert repr(made("pcgrad")).startswith(
        "PCGrad(reduction='sum', projection='sequential', seed=5"
    )
    assert repr(made("random")) == "RandomWeights(seed=5)"
    assert repr(made("dwa")) == "DynamicWeightAverage(temperature=2.0, period=7)"


def test_what_is_given_counts():
    assert made({"method": "pcgrad", "reduction": "mean", "seed": 3}).get_config()["seed"] == 3
    assert made({"method": "dwa", "period": 2}).period == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_its_model_answers(transformed_data, tmp_path, method):
    tasks = [
        task.model_copy(update={"primary": method == PRIMARY_TASK and task is TASKS[0]})
        for task in TASKS
    ]
    config = trainer_config(epochs=2, surgery=method)
    config["tasks"] = [task.model_dump(mode="json") for task in tasks]
    run = transformed_data.train(tmp_path, config)
    assert np.isfinite(run.history["loss"]).all()
    answers = run.serve([{"miles": [3.5], "company": ["Red"], "hour": [7]}, {}])
    assert set(answers) == {task.name for task in TASKS}
    assert not any(np.array_equal(*values) for values in answers.values())
