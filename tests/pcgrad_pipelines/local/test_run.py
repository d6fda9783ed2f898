"""What a run of the default pipeline prints and makes."""

import json
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from local_runs import EPOCHS
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.run_summary import summarize
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG

pytestmark = pytest.mark.long

CONFIG = load_config(DEFAULT_CONFIG)
TASKS = {task.name: task for task in CONFIG.tasks}
COMPONENTS = {
    "CsvExampleGen", "StatisticsGen", "CuratedSchema", "ExampleValidator", "ValidationGate",
    "Transform", "Trainer", "Reference", "ConflictReport", "LatestBlessedModel", "Evaluator",
    "Pusher",
}  # fmt: skip


@pytest.fixture(scope="module")
def pushed_model(first_run):
    folder = summarize(first_run.nodes, CONFIG.tasks).pushed
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def served(pushed_model):
    return tf.saved_model.load(pushed_model).signatures["serving_default"]


@pytest.fixture(scope="module")
def test_examples(first_run):
    """The test split: serialized examples, and their columns (None where empty)."""
    folder = first_run.nodes["CsvExampleGen"].outputs["examples"].uri
    files = tf.io.gfile.glob(f"{folder}/Split-test/*")
    serialized = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    return serialized, [_columns(tf.train.Example.FromString(row)) for row in serialized]


def _columns(example):
    columns = {}
    for name, feature in example.features.feature.items():
        values = getattr(feature, feature.WhichOneof("kind") or "float_list").value
        columns[name] = values[0] if values else None
    return columns


def test_a_person_sees_a_line_for_each_component_a_table_and_the_paths(first_run, pushed_model):
    lines = first_run.console.splitlines()
    assert first_run.exit_code == 0, first_run.console
    assert len(lines) <= 60
    assert set(first_run.nodes) == COMPONENTS
    for component in COMPONENTS:
        assert any(re.match(rf"  {component} +[\d.]+ s$", line) for line in lines), component
    for task in TASKS:
        assert any(re.match(rf" *{task} .* none yet +passed", line) for line in lines), task
    paths = dict(re.findall(r"^(Pushed model|Full log): +(.*)$", first_run.console, re.MULTILINE))
    assert paths["Pushed model"] == pushed_model
    assert tf.io.gfile.exists(paths["Full log"])


def test_nothing_of_third_parties_reaches_the_console(first_run):
    assert not re.search(r"warn|INFO|Traceback|deprecat|cuda", first_run.console, re.IGNORECASE)


def test_an_unchanged_second_run_reuses_what_can_be_reused_and_says_so(first_run, second_run):
    assert second_run.exit_code == 0, second_run.console
    # The push destination is looked at, but nothing is pushed a second time.
    new = {"LatestBlessedModel", "Pusher"}
    assert {name for name, node in second_run.nodes.items() if not node.cached} == new
    said = set(re.findall(r"^  (\w+) +cached$", second_run.console, re.MULTILINE))
    assert said == COMPONENTS - new
    first, second = (summarize(run.nodes, CONFIG.tasks) for run in (first_run, second_run))
    assert second.pushed == first.pushed
    assert [folder.name for folder in (second_run.output / "pushed_model").iterdir()] == [
        second.pushed.rpartition("/")[2]
    ]
    # A model is not its own baseline.
    assert [result.baseline_value for result in second.results] == [None] * len(TASKS)


def test_training_never_sees_the_test_split(first_run):
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(first_run.output / "metadata.sqlite")
    store = metadata_store.MetadataStore(connection)
    trainings = [e.id for e in store.get_executions() if e.type.endswith(".Trainer")]
    assert trainings
    events = store.get_events_by_execution_ids(trainings)
    inputs = store.get_artifacts_by_id(
        [e.artifact_id for e in events if e.type == metadata_store_pb2.Event.INPUT]
    )
    assert inputs
    for artifact in inputs:
        paths = [path for path, _, _ in tf.io.gfile.walk(artifact.uri)]
        assert not [path for path in paths if "test" in path.removeprefix(str(first_run.output))]
    examples = [artifact for artifact in inputs if artifact.type == "Examples"]
    assert examples
    for artifact in examples:
        assert json.loads(artifact.properties["split_names"].string_value) == ["train", "eval"]


def test_the_models_inputs_are_the_whitelist(served):
    (parse,) = [
        node
        for function in served.graph.as_graph_def().library.function
        for node in function.node_def
        if node.op == "ParseExampleV2"
    ]
    body = next(
        function
        for function in served.graph.as_graph_def().library.function
        if parse in list(function.node_def)
    )
    keys = set()
    for node in body.node_def:
        if node.name.startswith(parse.name) and node.name.endswith("_keys"):
            keys.update(key.decode() for key in tf.make_ndarray(node.attr["value"].tensor).ravel())
    assert keys == set(CONFIG.features.columns)
    assert not keys & set(CONFIG.features.exclude)
    assert not keys & {column for task in CONFIG.tasks for column in task.source_columns}


def test_a_process_with_tensorflow_alone_gets_answers(pushed_model):
    program = """
        import json, sys
        import tensorflow as tf

        serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]

        def example(**columns):
            kinds = {str: "bytes_list", float: "float_list", int: "int64_list"}
            row = tf.train.Example()
            for name, value in columns.items():
                values = getattr(row.features.feature[name], kinds[type(value)]).value
                values.append(value.encode() if isinstance(value, str) else value)
            return row.SerializeToString(deterministic=True)

        full = dict(
            pickup_latitude=41.9, pickup_longitude=-87.6, dropoff_latitude=41.95,
            dropoff_longitude=-87.65, company="Flash Cab", trip_start_hour=3, trip_start_day=2,
            trip_start_month=1, pickup_community_area=8, dropoff_community_area=6.0,
        )
        partly = {k: v for k, v in full.items() if k not in ("company", "dropoff_latitude")}
        requests = {
            "full": [example(**full)],
            "partly": [example(**partly)],
            "unseen": [example(**{**full, "company": "A company nobody knows"})],
            "many": [example(**full)] * 1000,
        }
        answers = {
            name: {task: value.numpy().tolist() for task, value in serve(examples=rows).items()}
            for name, rows in ((n, tf.constant(r)) for n, r in requests.items())
        }
        assert "tensorflow_transform" not in sys.modules and "tfx" not in sys.modules
        print(json.dumps(answers))
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), pushed_model],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answers = json.loads(process.stdout)
    for name, rows in (("full", 1), ("partly", 1), ("unseen", 1), ("many", 1000)):
        assert set(answers[name]) == set(TASKS)
        for values in answers[name].values():
            assert np.shape(values) == (rows, 1)
            assert np.all(np.isfinite(values))
    assert 0 < answers["full"]["big_tip"][0][0] < 1
    assert answers["many"]["fare"][999][0] == pytest.approx(answers["full"]["fare"][0][0], rel=1e-5)


def test_metrics_equal_those_of_scikit_learn_on_the_served_answers(
    first_run, served, test_examples
):
    serialized, rows = test_examples
    answers = {
        name: value.numpy().ravel() for name, value in served(tf.constant(serialized)).items()
    }

    def labelled(column, task):
        known = [i for i, row in enumerate(rows) if row[column] and row["fare"] is not None]
        return known, answers[task][known]

    kept, predicted = labelled("fare", "big_tip")
    # As TFX stores them: float32.
    tips = np.array([rows[i]["tips"] for i in kept]) / np.array([rows[i]["fare"] for i in kept])
    expected = {"big_tip": sklearn.metrics.roc_auc_score(tips > 0.2 * (1 + 1e-6), predicted)}
    for task, column in (("fare", "fare"), ("duration", "trip_seconds")):
        kept, predicted = labelled(column, task)
        expected[task] = sklearn.metrics.r2_score([rows[i][column] for i in kept], predicted)

    found = {r.task: r.value for r in summarize(first_run.nodes, CONFIG.tasks).results}
    assert found == pytest.approx(expected, abs=1e-3)


def test_telemetry_of_every_epoch_and_pair_is_kept(first_run):
    folder = first_run.nodes["Trainer"].outputs["model_run"].uri
    with tf.io.gfile.GFile(f"{folder}/conflicts.jsonl") as lines:
        epochs = [json.loads(line) for line in lines]
    assert [epoch["epoch"] for epoch in epochs] == list(range(EPOCHS))
    for epoch in epochs:
        assert len(epoch["pairs"]) == 3
        for pair in epoch["pairs"]:
            assert -1 <= pair["mean_cosine"] <= 1
            assert 0 <= pair["conflicting"] <= 1
