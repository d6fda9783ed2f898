"""What the pipeline is made of, whatever runs it."""

import json

import pytest
from tfx import v1 as tfx
from tfx.dsl.compiler.compiler import Compiler
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_pipelines import stages
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG
from pcgrad_pipelines.pipeline import RunSettings, create_pipeline
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.config.splitting import Shares
from pcgrad_tfx.config.tasks import Gate
from pcgrad_tfx.data.files import SPLITS, DataFiles
from pcgrad_tfx.kubeflow.last_pushed import LastPushedModel
from pcgrad_tfx.kubeflow.training_parameters import TrainingParameters
from pcgrad_tfx.reference.settings import ReferenceSettings

CONFIG = load_config(DEFAULT_CONFIG)
FILES = DataFiles("data", {"all": "*.csv"}, "csv")


def create(files=FILES, run=None, **changes):
    """The nodes of a pipeline: of the taxi trips without a schema, but for what is changed."""
    config = CONFIG.model_copy(update={"name": "trips", "schema_text": None} | changes)
    settings = RunSettings(**{"pipeline_root": "root", "push_destination": "pushed"} | (run or {}))
    pipeline = create_pipeline(config, files, settings)
    Compiler().compile(pipeline)
    return {node.id: node for node in pipeline.components}


def producer(node, key):
    return node.inputs[key].producer_component_id


ALWAYS = {
    "CsvExampleGen", "StatisticsGen", "ExampleValidator", "ValidationGate", "Transform", "Trainer",
    "Reference", "ConflictReport", "Evaluator", "Pusher",
}  # fmt: skip


def test_by_default_the_schema_is_inferred_and_the_baseline_is_in_ml_metadata():
    nodes = create()
    assert set(nodes) == ALWAYS | {"SchemaGen", "LatestBlessedModel"}
    assert "hyperparameters" not in nodes["Trainer"].inputs


def test_a_curated_schema_is_part_of_the_pipeline():
    nodes = create(schema_text=CONFIG.schema_text)
    assert set(nodes) == ALWAYS | {"CuratedSchema", "LatestBlessedModel"}
    assert nodes["CuratedSchema"].exec_properties["text"] == CONFIG.schema_text
    for name in ("ExampleValidator", "Transform", "Trainer", "Evaluator"):
        assert producer(nodes[name], "schema") == "CuratedSchema"


def test_an_empty_schema_is_no_missing_one():
    with pytest.raises(ValueError, match="describes no feature"):
        create(schema_text="")


def test_nodes_of_the_callers_are_wired_in():
    nodes = create(
        run={
            "parameters": TrainingParameters(epochs=3),
            "baseline": LastPushedModel("pushed", CONFIG.tasks),
        }
    )
    assert set(nodes) == ALWAYS | {"SchemaGen", "TrainingParameters", "LastPushedModel"}
    assert producer(nodes["Trainer"], "hyperparameters") == "TrainingParameters"
    assert producer(nodes["Evaluator"], "baseline_model") == "LastPushedModel"


def test_a_comparison_is_run_where_one_is_asked_for():
    settings = ComparisonSettings(seeds=3, single_task=False)
    nodes = create(run={"checkpoint_root": "checkpoints"}, comparison=settings)
    assert set(nodes) == ALWAYS | {"SchemaGen", "LatestBlessedModel", "Comparison"}
    assert producer(nodes["ConflictReport"], "comparison") == "Comparison"
    assert producer(nodes["Comparison"], "examples") == "CsvExampleGen"
    config = json.loads(nodes["Comparison"].exec_properties["custom_config"])
    assert ComparisonSettings.model_validate(config["comparison"]) == settings
    # It has all surgeries, so another one for the Trainer does not invalidate it.
    assert "surgery" not in config
    assert config["checkpoint_root"] == "checkpoints"


def test_trees_see_what_the_network_sees_and_wait_for_no_model():
    nodes = create()
    inputs = nodes["Reference"].inputs
    assert {producer(nodes["Reference"], key) for key in inputs} == {"CsvExampleGen", "Transform"}
    categorical = json.loads(nodes["Reference"].exec_properties["categorical"])
    assert categorical == [f"{column}_xf" for column in CONFIG.features.categorical]
    assert not nodes["Reference"].downstream_nodes


def test_trees_can_be_left_out():
    nodes = create(reference=ReferenceSettings(enabled=False))
    assert set(nodes) == (ALWAYS - {"Reference"}) | {"SchemaGen", "LatestBlessedModel"}


def test_places_may_be_runtime_parameters():
    data_root = RuntimeParameter("data_root", ptype=str, default="/data")
    push_destination = RuntimeParameter("push_destination", ptype=str)
    nodes = create(run={"data_root": data_root, "push_destination": push_destination})
    assert nodes["CsvExampleGen"].exec_properties["input_base"] is data_root
    assert nodes["Pusher"].exec_properties["push_destination"] is push_destination


@pytest.mark.parametrize("enabled", [True, False])
def test_without_a_reference_the_comparison_has_none_either(enabled):
    nodes = create(comparison=ComparisonSettings(), reference=ReferenceSettings(enabled=enabled))
    config = json.loads(nodes["Comparison"].exec_properties["custom_config"])
    assert config["comparison"]["reference"] == enabled


def test_the_comparison_depends_on_what_its_trainings_depend_on():
    def settings(**training):
        changed = CONFIG.training.model_copy(update=training)
        nodes = create(comparison=ComparisonSettings(), training=changed)
        return nodes["Comparison"].exec_properties["custom_config"]

    # Its methods and seeds are its own: another seed of the Trainer's runs nothing anew.
    assert settings() == settings(seed=3, surgery="none")
    assert settings() != settings(learning_rate=0.5)


def test_another_gate_trains_nothing_anew():
    def properties(**gate):
        tasks = tuple(task.model_copy(update={"gate": Gate(**gate)}) for task in CONFIG.tasks)
        nodes = create(tasks=tasks, comparison=ComparisonSettings())
        trained = ("Transform", "Trainer", "Reference", "Comparison")
        judged = nodes["Evaluator"].exec_properties
        return {name: nodes[name].exec_properties for name in trained}, judged

    trained, judged = properties(min_gain=0.1)
    trained_again, judged_again = properties(min_gain=0.2, max_drop=0.3)
    assert trained == trained_again
    assert judged != judged_again


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


def test_the_splits_are_those_of_the_configuration():
    def create_split(files=FILES, **keys):
        return create(files, data=CONFIG.data.model_copy(update=keys))

    nodes = create_split(group="company")
    output = json.loads(nodes["CsvExampleGen"].exec_properties["output_config"])
    assert output["split_config"]["partition_feature_name"] == "company"
    data = json.loads(nodes["ConflictReport"].exec_properties["data"])
    assert data["Splits"] == "8:1:1, groups of company stay together"
    nodes = create_split(splits=Shares(train=2, eval=1, test=1))
    output = json.loads(nodes["CsvExampleGen"].exec_properties["output_config"])
    assert [split["hash_buckets"] for split in output["split_config"]["splits"]] == [2, 1, 1]
    # TFRecords are split as CSV files are.
    tfrecords = DataFiles("data", {"all": "*.tfrecord"}, "tfrecord")
    nodes = create_split(tfrecords, time="trip_start_timestamp")
    properties = nodes["ImportExampleGen"].exec_properties
    assert "trip_start_timestamp" in properties["custom_config"]


@pytest.mark.parametrize(
    ("files", "source"),
    [
        (DataFiles("gs://trips", {"all": "2024.csv"}, "csv"), "gs://trips/2024.csv"),
        (DataFiles("data", dict.fromkeys(SPLITS, "*.csv"), "csv"), "data"),
    ],
)
def test_the_report_says_what_it_is_about(files, source):
    nodes = create(files)
    assert json.loads(nodes["ConflictReport"].exec_properties["data"]) == {"Source": source}


def test_the_report_does_not_name_what_only_a_run_knows():
    nodes = create(run={"data_root": RuntimeParameter("data_root", ptype=str, default="/data")})
    assert json.loads(nodes["ConflictReport"].exec_properties["data"]) == {}


def test_stages_stand_in_a_pipeline_of_ones_own():
    config = CONFIG.model_copy(update={"comparison": None})
    ingestion = stages.ingest(config, FILES)
    statistics = ingestion.statistics_gen.outputs["statistics"]
    validation = stages.validate(config, statistics)
    own = tfx.components.Trainer(
        run_fn="mine.run_fn",
        examples=ingestion.example_gen.outputs["examples"],
        schema=validation.schema_gen.outputs["schema"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
    )
    own.add_upstream_node(validation.validation_gate)
    pipeline = tfx.dsl.Pipeline("mine", "root", components=[*ingestion, *validation, own])
    compiled = Compiler().compile(pipeline)
    assert len(compiled.nodes) == 6
