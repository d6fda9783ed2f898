"""TrainingParameters: the Trainer trains with these values instead of its own."""

import json
from pathlib import Path

import keras_tuner
import pytest
from tfx import v1 as tfx
from tfx.types import standard_artifacts
from tfx.utils import io_utils
from tfx.v1.dsl.experimental import RuntimeParameter

from dag_runs import run
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.kubeflow.training_parameters import SETTINGS, Executor, TrainingParameters
from transformed import artifact
from trips import trainer_config

DEFAULTS = {"surgery": "pcgrad", "epochs": 1, "learning_rate": 0.01, "seed": 3}
OTHERS = {"surgery": "none", "epochs": 2, "learning_rate": 0.05, "seed": 0}


def parameterized():
    """The component as in a compiled pipeline that can be given other values."""
    return TrainingParameters(
        **{
            name: RuntimeParameter(name, ptype=kind, default=DEFAULTS[name])
            for name, kind in SETTINGS.items()
        }
    )


def mean_cosines(telemetry):
    """Of each epoch and pair of tasks."""
    return [pair["mean_cosine"] for epoch in telemetry for pair in epoch["pairs"]]


def written(artifact):
    """The values, read as somebody else's `run_fn` reads a Tuner's."""
    file = Path(io_utils.get_only_uri_in_dir(artifact.uri))
    return keras_tuner.HyperParameters.from_config(json.loads(file.read_text())).values


def test_it_writes_the_settings_that_are_given(tmp_path):
    component = TrainingParameters(surgery="ppcgrad", learning_rate=1)
    (hyperparameters,) = run(tmp_path, component)("HyperParameters")
    assert written(hyperparameters) == {"surgery": "ppcgrad", "learning_rate": 1.0}


def test_without_settings_there_is_nothing_to_override(tmp_path):
    (hyperparameters,) = run(tmp_path, TrainingParameters())("HyperParameters")
    assert written(hyperparameters) == {}


def test_runtime_parameters_have_their_defaults_and_the_values_of_a_run(tmp_path):
    run(tmp_path, parameterized())
    first, second = run(tmp_path, parameterized(), **OTHERS)("HyperParameters")
    assert written(first) == DEFAULTS
    assert written(second) == OTHERS


WRONG = [
    ({"surgery": "pcgard"}, 'surgery: "pcgard" is not one of .*; did you mean "pcgrad"?'),
    ({"epochs": -1}, "epochs: -1 should be greater .* 1 "),
    ({"learning_rate": -0.5}, "learning_rate: -0.5 should be greater than 0 "),
    ({"seed": -1}, "seed: -1 should be greater .* 0 "),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_a_wrong_value_is_refused_in_one_line_when_it_is_known(settings, said):
    with pytest.raises(ValueError, match=rf"\A{said}.*\Z"):
        TrainingParameters(**settings)
    ((name, value),) = settings.items()
    default = RuntimeParameter(name, ptype=SETTINGS[name], default=value)
    with pytest.raises(ValueError, match=rf"\A{said}.*\Z"):
        TrainingParameters(**{name: default})


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_a_runs_wrong_value_is_refused_in_one_line_before_anything_is_written(
    tmp_path, settings, said
):
    outputs = {"hyperparameters": [artifact(standard_artifacts.HyperParameters, tmp_path)]}
    with pytest.raises(ValueError, match=rf"\A{said}.*\Z"):
        Executor().Do({}, outputs, DEFAULTS | settings)
    assert not list(tmp_path.iterdir())


def test_a_setting_has_the_type_that_training_asks_for():
    assert Training.model_validate(DEFAULTS, strict=True)
    assert {name: type(value) for name, value in DEFAULTS.items()} == SETTINGS


@pytest.mark.usefixtures("not_exported")
def test_the_trainer_of_a_compiled_pipeline_trains_with_the_values_of_a_run(
    transformed_data, tmp_path
):
    """Its telemetry is that of a training which was configured so from the start."""
    examples = tfx.dsl.Importer(
        source_uri=str(transformed_data.examples_dir),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["train", "eval"]'},
    ).with_id("examples")
    graph = tfx.dsl.Importer(
        source_uri=str(transformed_data.graph_dir),
        artifact_type=standard_artifacts.TransformGraph,
    ).with_id("transform_graph")
    parameters = parameterized()
    trainer = tfx.components.Trainer(
        run_fn="pcgrad_tfx.trainer.run_fn",
        examples=examples.outputs["result"],
        transform_graph=graph.outputs["result"],
        hyperparameters=parameters.outputs["hyperparameters"],
        custom_config=trainer_config(**DEFAULTS),
    )
    (logs,) = run(tmp_path, examples, graph, parameters, trainer, **OTHERS)("ModelRun")
    expected = transformed_data.train(tmp_path / "expected", trainer_config(**OTHERS))
    lines = (Path(logs.uri) / "conflicts.jsonl").read_text().splitlines()
    found = mean_cosines(map(json.loads, lines))
    assert found == pytest.approx(mean_cosines(expected.conflicts), abs=1e-4)
