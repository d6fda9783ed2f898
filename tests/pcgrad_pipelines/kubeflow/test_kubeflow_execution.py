"""The compiled pipeline, executed step by step as open-source Kubeflow Pipelines does.

A stand-in for its driver and launcher runs each step's command in a process of its own, with
`minio://` URIs; it has not run on a cluster.
"""

import json
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx.components.evaluator import constants

from kfp_launcher import Cluster
from kubeflow_runs import compile_for, write_houses
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.kubeflow.runner import DEFAULT_CONFIG
from pcgrad_tfx.kubeflow.last_pushed import ABSENT_PROPERTY

STEPS = {
    "CsvExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "ValidationGate",
    "Transform", "TrainingParameters", "Trainer", "Reference", "ConflictReport", "LastPushedModel",
    "Evaluator", "Pusher",
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A small pipeline, beside its data and the volume that stays when pods go."""
    folder = tmp_path_factory.mktemp("houses")
    return compile_for(
        "kfp",
        folder / "houses.yaml",
        f"--config={write_houses(folder)}",
        f"--data={folder / 'houses.csv'}",
        f"--volume=models={folder / 'volume'}",
        f"--push-destination={folder / 'volume' / 'houses'}",
        "--epochs=3",
        "--cache-examples",
        "--retries=CsvExampleGen:1",
    )


@pytest.fixture(scope="module")
def houses(compiled):
    """The cluster of the runs of the whole pipeline."""
    return Cluster(compiled, compiled.parent)


def report(title, steps):
    """Prints the time of each step, and the log of one that failed."""
    print(f"\n{title}")
    for name, step in steps.items():
        print(f"  {name:<20} {'cached' if step.cached else f'{step.seconds:6.1f} s'}")
        if step.exit_code:
            print(step.log)
    return steps


def read_examples(folder):
    files = [str(file) for file in Path(folder).iterdir()]
    return list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


def test_the_examples_end_up_in_the_object_store(compiled, tmp_path):
    cluster = Cluster(compiled, tmp_path)
    steps = report("ExampleGen", cluster.run(until="CsvExampleGen"))
    (step,) = steps.values()
    assert (step.exit_code, step.attempts) == (0, 1)
    examples, known = step.outputs["examples"], metadata(step, "examples")
    assert examples.uri == step.input.outputs.artifacts["examples"].artifacts[0].uri
    assert examples.uri.startswith("minio://mlpipeline/v2/artifacts/houses/")
    rows = {
        split: len(read_examples(cluster.local_path(examples.uri) / f"Split-{split}"))
        for split in json.loads(known["split_names"])
    }
    assert sum(rows.values()) == 600
    assert rows["train"] > rows["eval"] + rows["test"] > 0
    # What TFX's driver finds.
    assert known["custom:span"] == 0
    assert "xor_checksum" in known["input_fingerprint"]


def test_a_failing_step_says_why_in_its_last_line(compiled, tmp_path):
    (tmp_path / "houses.csv").write_text("area,district,price\n1.0,north,cheap\n")
    cluster = Cluster(compiled, tmp_path)
    (step,) = cluster.run(until="CsvExampleGen", data_root=str(tmp_path)).values()
    assert (step.exit_code, step.attempts) == (1, 2)
    assert "'cheap' is not a number" in step.log.splitlines()[-1]
    assert not step.outputs


@pytest.fixture(scope="module")
def first_run(houses):
    return report("First run", houses.run())


@pytest.fixture(scope="module")
def second_run(houses, first_run):
    return report("Second run, surgery=none epochs=2", houses.run(surgery="none", epochs=2))


def pushed_versions(houses):
    """The models on the volume, oldest first."""
    return sorted((houses.folder / "volume" / "houses").iterdir(), key=lambda path: int(path.name))


def metadata(step, output):
    return json_format.MessageToDict(step.outputs[output].metadata)


def blessing(run):
    return metadata(run["Evaluator"], "blessing")


def epochs(houses, run):
    """What the Trainer notes about each epoch."""
    folder = houses.local_path(run["Trainer"].outputs["model_run"].uri)
    return [json.loads(line) for line in (folder / "conflicts.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_first_run_pushes_a_model_without_a_baseline(houses, first_run):
    assert {name: step.exit_code for name, step in first_run.items()} == dict.fromkeys(STEPS, 0)
    assert not any(step.cached for step in first_run.values())
    for output in ("model", "model_blessing"):
        assert metadata(first_run["LastPushedModel"], output)[ABSENT_PROPERTY] == 1
    assert constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY not in blessing(first_run)
    assert blessing(first_run)[constants.ARTIFACT_PROPERTY_BLESSED_KEY] == 1
    version = pushed_versions(houses)[0]
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    assert set(served.structured_outputs) == {"price", "expensive"}
    assert metadata(first_run["Pusher"], "pushed_model")["pushed_destination"] == str(version)


@pytest.mark.slow
def test_no_path_of_a_pod_is_left_in_the_metadata(houses, first_run, second_run):
    for name, step in [*first_run.items(), *second_run.items()]:
        for key, output in step.outputs.items():
            assert output.uri.startswith("minio://mlpipeline/v2/artifacts/houses/"), name
            assert str(houses.folder / "pods") not in json.dumps(metadata(step, key)), name
    current = blessing(first_run)[constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY]
    assert current == first_run["Trainer"].outputs["model"].uri


@pytest.mark.slow
def test_the_second_run_has_the_first_ones_model_as_its_baseline(houses, first_run, second_run):
    assert not any(step.exit_code for step in second_run.values())
    first, _ = pushed_versions(houses)
    assert ABSENT_PROPERTY not in metadata(second_run["LastPushedModel"], "model")
    found = second_run["LastPushedModel"].outputs["model"]
    copy = houses.local_path(found.uri) / "Format-Serving"
    for file in filter(Path.is_file, first.rglob("*")):
        assert (copy / file.relative_to(first)).read_bytes() == file.read_bytes()
    noted = blessing(second_run)
    assert noted[constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY] == found.uri
    assert noted[constants.ARTIFACT_PROPERTY_BLESSED_KEY] == 1
    evaluation = houses.local_path(second_run["Evaluator"].outputs["evaluation"].uri)
    validation = tfma.load_validation_result(str(evaluation))
    assert validation.validation_ok
    assert not validation.rubber_stamp


@pytest.mark.slow
def test_what_a_run_does_not_change_is_reused(second_run):
    changed = {
        "TrainingParameters", "Trainer", "ConflictReport", "LastPushedModel", "Evaluator", "Pusher",
    }  # fmt: skip
    assert {name for name, step in second_run.items() if not step.cached} == changed


@pytest.mark.slow
def test_runtime_parameters_reach_the_trainer(houses, first_run, second_run):
    assert len(epochs(houses, first_run)) == 3
    assert len(epochs(houses, second_run)) == 2
    # The same parameters give the same numbers, so other numbers come from another surgery.
    control = report("Control, epochs=2", houses.run(until="Trainer", epochs=2))
    assert not control["Trainer"].cached
    norms = [epochs(houses, run)[1]["gradient_norms"] for run in (first_run, control, second_run)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)
    assert norms[2] != pytest.approx(norms[0], rel=1e-3)


@pytest.mark.slow
def test_a_wrong_runtime_parameter_is_refused_in_one_line(houses):
    steps = houses.run(until="TrainingParameters", surgery="pcgard")
    step = steps["TrainingParameters"]
    assert step.exit_code == 1
    last = step.log.splitlines()[-1]
    assert last.startswith('surgery: "pcgard" is not one of pcgrad, ppcgrad, none, ')
    assert last.endswith('; did you mean "pcgrad"?')


@pytest.mark.slow
def test_the_taxi_pipeline_pushes_a_model(tmp_path):
    data = load_config(DEFAULT_CONFIG).data.location
    arguments = [f"--volume=models={tmp_path / 'volume'}", "--epochs=5", f"--data={data}"]
    destination = f"--push-destination={tmp_path / 'volume' / 'taxi'}"
    compiled = compile_for("kfp", tmp_path / "taxi.yaml", *arguments, destination)
    steps = report("Taxi", Cluster(compiled, tmp_path).run())
    assert {name: step.exit_code for name, step in steps.items()} == dict.fromkeys(
        STEPS - {"SchemaGen"} | {"CuratedSchema"}, 0
    )
    (version,) = (tmp_path / "volume" / "taxi").iterdir()
    assert (version / "saved_model.pb").exists()
