"""A comparison that cannot be carried out says why."""

import re

import pytest

from comparison_runs import compare, write_test_split
from pcgrad_tfx.comparison.component import Comparison
from trips import trainer_config


def test_a_diverged_training_is_named(transformed_data, tmp_path):
    test_examples = write_test_split(tmp_path / "test_examples")
    message = r"^comparison, equal weights: training diverged in step \d"
    with pytest.raises(FloatingPointError, match=message):
        compare(transformed_data, test_examples, tmp_path, learning_rate=1e30)


@pytest.mark.parametrize(
    ("comparison", "message"),
    [
        ({"methods": ["pcgrd"]}, 'comparison: methods[0].surgery: "pcgrd" is not one of'),
        ({"methods": ["none"]}, '"none", equal weights, is always compared; leave it out'),
        ({"methods": ["famo", "famo"]}, "comparison: methods[1]: named twice; leave one out"),
        ({"methods": ["primary_task"]}, "wants one task with primary = true"),
        ({"methods": [{"architecture": "mmo"}]}, "methods[0].architecture"),
        ({"methods": [{"method": "cagrad", "d": 1}]}, "methods[0].surgery"),
        ({"search": -1}, "comparison: search: -1 should be greater than or equal to 0"),
        ({"jobs": 0}, "comparison: jobs: 0 should be greater than or equal to 1"),
        ({"seeds": 1}, "comparison: seeds: 1 should be greater than or equal to 2"),
        ({"seed": 3}, 'comparison: seed: unknown key; did you mean "seeds"?'),
        ({"static_weights": [{"pryce": 2}]}, "no task 'pryce'; did you mean \"price\"?"),
    ],
)
def test_wrong_settings_are_refused_when_the_pipeline_is_made(comparison, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Comparison(None, None, None, trainer_config(comparison=comparison))


def test_an_empty_test_split_is_refused(transformed_data, tmp_path):
    examples = write_test_split(tmp_path / "examples", rows=[])
    with pytest.raises(ValueError, match="split 'test' is empty; add data"):
        compare(transformed_data, examples, tmp_path / "out")


def test_a_model_of_the_users_own_has_no_architecture_to_choose():
    comparison = {"methods": [{"architecture": "mmoe"}]}
    config = trainer_config(comparison=comparison, model_fn="trips.dropout_model", features=None)
    with pytest.raises(ValueError, match=r"methods\[0\]: the model of a model_fn has no architec"):
        Comparison(None, None, None, config)
