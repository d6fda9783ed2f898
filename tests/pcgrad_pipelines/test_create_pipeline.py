"""What the pipeline is made of, whatever runs it."""

import json

import pytest
from tfx.dsl.compiler.compiler import Compiler
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG
from pcgrad_pipelines.pipeline import create_pipeline
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.kubeflow.last_pushed import LastPushedModel
from pcgrad_tfx.kubeflow.training_parameters import TrainingParameters

CONFIG = load_config(DEFAULT_CONFIG)


def create(**options):
    defaults = {
        "pipeline_name": "trips",
        "pipeline_root": "root",
        "data_root": "data",
        "tasks": CONFIG.tasks,
        "features": CONFIG.features,
        "training": CONFIG.training,
        "push_destination": "pushed",
    }
    pipeline = create_pipeline(**(defaults | options))
    Compiler().compile(pipeline)
    return {node.id: node for node in pipeline.components}


def producer(node, key):
    return node.inputs[key].producer_component_id


ALWAYS = {
    "CsvExampleGen", "StatisticsGen", "ExampleValidator", "ValidationGate", "Transform", "Trainer",
    "ConflictReport", "Evaluator", "Pusher",
}  # fmt: skip


def test_by_default_the_schema_is_inferred_and_the_baseline_is_in_ml_metadata():
    nodes = create()
    assert set(nodes) == ALWAYS | {"SchemaGen", "LatestBlessedModel"}
    assert "hyperparameters" not in nodes["Trainer"].inputs


def test_a_curated_schema_is_part_of_the_pipeline():
    nodes = create(schema=CONFIG.schema_text)
    assert set(nodes) == ALWAYS | {"CuratedSchema", "LatestBlessedModel"}
    assert nodes["CuratedSchema"].exec_properties["text"] == CONFIG.schema_text
    for name in ("ExampleValidator", "Transform", "Trainer", "Evaluator"):
        assert producer(nodes[name], "schema") == "CuratedSchema"


def test_an_empty_schema_is_no_missing_one():
    with pytest.raises(ValueError, match="describes no feature"):
        create(schema="")


def test_nodes_of_the_callers_are_wired_in():
    nodes = create(
        parameters=TrainingParameters(epochs=3),
        baseline=LastPushedModel("pushed", CONFIG.tasks),
    )
    assert set(nodes) == ALWAYS | {"SchemaGen", "TrainingParameters", "LastPushedModel"}
    assert producer(nodes["Trainer"], "hyperparameters") == "TrainingParameters"
    assert producer(nodes["Evaluator"], "baseline_model") == "LastPushedModel"


def test_a_comparison_is_run_where_one_is_asked_for():
    settings = ComparisonSettings(seeds=3, single_task=False)
    nodes = create(comparison=settings, checkpoint_root="checkpoints")
    assert set(nodes) == ALWAYS | {"SchemaGen", "LatestBlessedModel", "Comparison"}
    assert producer(nodes["ConflictReport"], "comparison") == "Comparison"
    assert producer(nodes["Comparison"], "examples") == "CsvExampleGen"
    config = json.loads(nodes["Comparison"].exec_properties["custom_config"])
    assert config["comparison"] == {"seeds": 3, "single_task": False}
    # It has all surgeries, so another one for the Trainer does not invalidate it.
    assert "surgery" not in config
    assert config["checkpoint_root"] == "checkpoints"


def test_places_may_be_runtime_parameters():
    data_root = RuntimeParameter("data_root", ptype=str, default="/data")
    push_destination = RuntimeParameter("push_destination", ptype=str)
    nodes = create(data_root=data_root, push_destination=push_destination)
    assert nodes["CsvExampleGen"].exec_properties["input_base"] is data_root
    assert nodes["Pusher"].exec_properties["push_destination"] is push_destination


def test_the_comparison_depends_on_what_its_trainings_depend_on():
    def settings(**training):
        changed = CONFIG.training.model_copy(update=training)
        nodes = create(comparison=ComparisonSettings(), training=changed)
        return nodes["Comparison"].exec_properties["custom_config"]

    # Its methods and seeds are its own: another seed of the Trainer's runs nothing anew.
    assert settings() == settings(seed=3, surgery="none")
    assert settings() != settings(learning_rate=0.5)


def test_ten_percent_each_are_held_out_and_transform_learns_from_the_rest():
    nodes = create()
    output = json.loads(nodes["CsvExampleGen"].exec_properties["output_config"])
    splits = output["split_config"]["splits"]
    assert {split["name"]: split["hash_buckets"] for split in splits} == {
        "train": 8,
        "eval": 1,
        "test": 1,
    }
    config = json.loads(nodes["Transform"].exec_properties["splits_config"])
    assert config == {"analyze": ["train"], "transform": ["train", "eval"]}
    assert json.loads(nodes["Evaluator"].exec_properties["example_splits"]) == ["test"]
    for key, split in (("train_args", "train"), ("eval_args", "eval")):
        assert json.loads(nodes["Trainer"].exec_properties[key])["splits"] == [split]


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({"data_root": "gs://trips", "data_pattern": "2024.csv"}, "gs://trips/2024.csv"),
        ({"data_splits": dict.fromkeys(("train", "eval", "test"), "*.csv")}, "data"),
    ],
)
def test_the_report_says_what_it_is_about(options, source):
    nodes = create(**options)
    assert json.loads(nodes["ConflictReport"].exec_properties["data"]) == {"Source": source}
