"""What makes a training another one, so that it does not go on from a checkpoint."""

import pytest
from tfx import v1 as tfx

from pcgrad_tfx.config.training_config import trainer_config
from pcgrad_tfx.training.trainer import _training_key
from trips import trainer_config as custom_config

ARGUMENTS = {
    "train_files": ["train"],
    "eval_files": ["eval"],
    "transform_graph_path": "graph",
    "base_model": None,
    "train_steps": None,
    "eval_steps": None,
    "hyperparameters": None,
}


def key(arguments, **changes):
    config = custom_config(model_fn="trips.dropout_model", **changes)
    return _training_key(tfx.components.FnArgs(**arguments), trainer_config(config))


@pytest.mark.parametrize(
    "change",
    [
        {"train_files": ["other"]},
        {"eval_files": ["other"]},
        {"transform_graph_path": "other"},
        {"base_model": "other"},
        {"train_steps": 7},
        {"eval_steps": 7},
        {"hyperparameters": {"width": 7}},
    ],
    ids=str,
)
def test_each_argument_counts(change):
    assert key({**ARGUMENTS, **change}) != key(ARGUMENTS)


def test_where_checkpoints_lie_does_not_count():
    assert key(ARGUMENTS, checkpoint_root="one") == key(ARGUMENTS, checkpoint_root="other")
    assert key(ARGUMENTS, seed=1) != key(ARGUMENTS, seed=2)
