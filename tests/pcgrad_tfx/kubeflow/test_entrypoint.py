"""What open-source Kubeflow hands to a step becomes what TFX's executors expect, and back."""

import argparse
import copy
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from tfx import v1 as tfx
from tfx.dsl.components.base import base_executor
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.types import standard_artifacts
from tfx.utils import name_utils

from pcgrad_tfx.example_gen.csv_example_gen import CsvExampleGen
from pcgrad_tfx.kubeflow import entrypoint
from pcgrad_tfx.kubeflow.last_pushed import ABSENT_PROPERTY
from pcgrad_tfx.kubeflow.uris import MOUNT_ROOT_VARIABLE, LocalPaths

seen = {}


class Recorder(base_executor.BaseExecutor):
    """Notes what it is given, and makes a model of it."""

    def Do(self, input_dict, output_dict, exec_properties):
        seen.update(inputs=input_dict, outputs=output_dict, properties=exec_properties)
        (model,) = output_dict["model"]
        Path(model.uri).mkdir(parents=True, exist_ok=True)
        Path(model.uri, "file").write_text("made")
        model.set_string_custom_property("examples", input_dict["examples"][0].uri)
        model.set_string_custom_property("split", input_dict["examples"][0].uri + "/Split-train")
        model.set_string_custom_property("volume", "/minio/other")
        model.set_int_custom_property("number", 3)


class Idle(base_executor.BaseExecutor):
    """Makes nothing."""

    def Do(self, input_dict, output_dict, exec_properties):
        seen.update(inputs=input_dict)


class Waiting(base_executor.BaseExecutor):
    """Goes on until the process is ended."""

    def Do(self, input_dict, output_dict, exec_properties):
        print("waiting", flush=True)
        time.sleep(600)


class Failing(base_executor.BaseExecutor):
    """Fails as Beam's workers do, with a cause."""

    def Do(self, input_dict, output_dict, exec_properties):
        try:
            raise ValueError("column 'fare' is missing; add it")
        except ValueError as error:
            raise RuntimeError("a worker failed") from error


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    """Where the launcher's folders lie."""
    folder = tmp_path / "mounts"
    monkeypatch.setenv(MOUNT_ROOT_VARIABLE, str(folder))
    return folder


def schema(artifact_type):
    return compiler_utils.get_artifact_schema(artifact_type).decode()


def artifact(uri, **metadata):
    """An input as the driver passes it on: the type is empty."""
    return {"name": "7", "uri": uri, "type": {"instanceSchema": ""}, "metadata": metadata}


def invocation(root, folder, **inputs):
    """An ExecutorInput with an output, and Kubeflow's own log."""
    model = {"name": "model", "uri": f"{root}/model"}
    log = {"name": "executor-logs", "uri": f"{root}/executor-logs"}
    return {
        "inputs": {
            "artifacts": {name: {"artifacts": [given]} for name, given in inputs.items()},
            "parameterValues": {"epochs": 3, "surgery": "none"},
        },
        "outputs": {
            "artifacts": {
                "model": {
                    "artifacts": [
                        model | {"type": {"instanceSchema": schema(standard_artifacts.Model)}}
                    ]
                },
                "executor-logs": {
                    "artifacts": [log | {"type": {"schemaTitle": "system.Artifact"}}]
                },
            },
            "outputFile": str(folder / "task" / "output_metadata.json"),
        },
    }


INPUTS_SPEC = {
    "artifacts": {
        "examples": {"artifactType": {"instanceSchema": schema(standard_artifacts.Examples)}},
        "baseline_model": {"artifactType": {"instanceSchema": schema(standard_artifacts.Model)}},
    },
    "parameters": {
        "epochs": {"parameterType": "NUMBER_INTEGER"},
        "surgery": {"parameterType": "STRING"},
    },
}


def arguments(executor, executor_input, inputs_spec, **options):
    return argparse.Namespace(
        executor_class_path=name_utils.get_full_name(executor),
        json_serialized_invocation_args=json.dumps(executor_input),
        json_serialized_inputs_spec_args=json.dumps(inputs_spec),
        **options,
    )


def run(executor_input, executor=Recorder, inputs_spec=INPUTS_SPEC, keep_gcs=False):
    """Runs an executor and returns the ExecutorOutput."""
    seen.clear()
    args = arguments(executor, executor_input, inputs_spec, keep_gcs=keep_gcs)
    entrypoint.run(args, ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"])
    text = Path(executor_input["outputs"]["outputFile"]).read_text()
    return json_format.Parse(text, pb.ExecutorOutput())


@pytest.mark.parametrize(
    ("scheme", "mount"), [("minio", "minio"), ("s3", "s3"), ("gs", "gcs"), ("unknown", None)]
)
def test_artifacts_have_local_paths_inside_and_uris_outside(scheme, mount, mounts, tmp_path):
    root = f"{scheme}://bucket/pipelines" if mount else str(tmp_path / "elsewhere")
    local = f"{mounts}/{mount}/bucket/pipelines" if mount else root
    examples = artifact(f"{root}/examples", split_names='["train"]')
    made = run(invocation(root, tmp_path, examples=examples))

    (given,) = seen["inputs"]["examples"]
    assert isinstance(given, standard_artifacts.Examples)
    assert given.uri == f"{local}/examples"
    assert given.split_names == '["train"]'
    assert seen["properties"] == {"epochs": 3, "surgery": "none"}
    assert isinstance(seen["properties"]["epochs"], int)
    assert Path(local, "model", "file").read_text() == "made"

    (model,) = made.artifacts["model"].artifacts
    assert model.uri == f"{root}/model"
    assert model.metadata["examples"] == f"{root}/examples"
    assert model.metadata["split"] == f"{root}/examples/Split-train"
    assert model.metadata["volume"] == "/minio/other"
    assert model.metadata["number"] == 3


def test_artifacts_whose_paths_begin_alike_are_told_apart(mounts):
    uris = ["s3://b/model", "s3://b/model_run"]
    paths = LocalPaths(uris)
    for uri in uris:
        assert paths.uri(paths.path(uri)) == uri
        assert paths.uri(f"{paths.path(uri)}/Format-Serving") == f"{uri}/Format-Serving"
    assert paths.uri(f"{mounts}/s3/b/models") == f"{mounts}/s3/b/models"


@pytest.mark.parametrize("keep_gcs", [False, True])
def test_servers_without_ml_metadata(mounts, tmp_path, keep_gcs):
    """They hand over a schema as a title, and take an output that is not there for an error."""
    examples = artifact("gs://b/examples")
    examples["type"] = {"schemaTitle": schema(standard_artifacts.Examples)}
    made = run(invocation("gs://b", tmp_path, examples=examples), Idle, keep_gcs=keep_gcs)
    (given,) = seen["inputs"]["examples"]
    assert isinstance(given, standard_artifacts.Examples)
    assert made.artifacts["model"].artifacts[0].uri == "gs://b/model"
    assert (mounts / "gcs/b/model").is_dir()


def test_gcs_may_be_left_to_tensorflow(mounts):
    paths = LocalPaths(["gs://b/k", "s3://b/k"], keep_gcs=True)
    assert paths.path("gs://b/k") == "gs://b/k"
    assert paths.path("s3://b/k") == f"{mounts}/s3/b/k"


@pytest.mark.parametrize("absent", [True, False])
def test_an_input_that_stands_for_nothing_is_left_out(absent, mounts, tmp_path):
    marks = {ABSENT_PROPERTY: 1.0} if absent else {}
    baseline = artifact("s3://b/baseline", display_name="model", **marks)
    run(invocation("s3://b", tmp_path, examples=artifact("s3://b/e"), baseline_model=baseline))
    assert set(seen["inputs"]) == {"examples"} if absent else {"examples", "baseline_model"}


def test_kubeflows_own_log_is_no_output_of_the_component(mounts, tmp_path):
    made = run(invocation("s3://b", tmp_path, examples=artifact("s3://b/e")))
    assert set(seen["outputs"]) == {"model"}
    assert set(made.artifacts) == {"model"}


def test_tfx_own_entry_point_fails_on_both(mounts, tmp_path):
    executor_input = invocation(str(tmp_path), tmp_path, examples=artifact(str(tmp_path / "e")))
    with pytest.raises(AttributeError):  # The empty type.
        kubeflow_v2_run_executor.main((arguments(Recorder, executor_input, INPUTS_SPEC), []))
    declared = INPUTS_SPEC["artifacts"]["examples"]["artifactType"]
    executor_input["inputs"]["artifacts"]["examples"]["artifacts"][0]["type"] = declared
    with pytest.raises(ImportError, match="system.Artifact"):  # The type of the log.
        kubeflow_v2_run_executor.main((arguments(Recorder, executor_input, INPUTS_SPEC), []))
    del executor_input["outputs"]["artifacts"]["executor-logs"]
    kubeflow_v2_run_executor.main((arguments(Recorder, executor_input, INPUTS_SPEC), []))


def test_the_driver_of_an_example_gen_finds_the_latest_span(mounts, tmp_path):
    for span in (1, 2):
        (tmp_path / f"data/span-{span}").mkdir(parents=True)
        rows = "".join(f"{span},{i}\n" for i in range(150))
        (tmp_path / f"data/span-{span}/data.csv").write_text(f"span,id\n{rows}")
    component = CsvExampleGen(
        str(tmp_path / "data"),
        input_config=tfx.proto.Input(
            splits=[tfx.proto.Input.Split(name="all", pattern="span-{SPAN}/*.csv")]
        ),
    )
    properties = {k: v for k, v in component.exec_properties.items() if v is not None}
    kinds = {int: "NUMBER_INTEGER", str: "STRING"}
    inputs_spec = {
        "parameters": {k: {"parameterType": kinds[type(v)]} for k, v in properties.items()}
    }
    executor_input = invocation("minio://b/run", tmp_path)
    executor_input["inputs"]["parameterValues"] = properties
    outputs = executor_input["outputs"]["artifacts"]
    outputs["examples"] = outputs.pop("model")
    outputs["examples"]["artifacts"][0] = {
        "uri": "minio://b/run/examples",
        "type": {"instanceSchema": schema(standard_artifacts.Examples)},
    }
    made = run(executor_input, component.executor_spec.executor_class, inputs_spec)

    (examples,) = made.artifacts["examples"].artifacts
    assert examples.uri == "minio://b/run/examples"
    assert examples.metadata["custom:span"] == 2
    assert "xor_checksum" in examples.metadata["input_fingerprint"]
    files = [str(file) for file in (mounts / "minio/b/run/examples/Split-train").iterdir()]
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        assert list(features["span"].int64_list.value) == [2]


def test_a_newer_tfx_may_have_compiled_the_pipeline(mounts, tmp_path):
    inputs_spec = copy.deepcopy(INPUTS_SPEC)
    inputs_spec["parameters"]["epochs"]["newer"] = True
    run(invocation("s3://b", tmp_path, examples=artifact("s3://b/e")), inputs_spec=inputs_spec)
    assert seen["properties"]["epochs"] == 3


def test_other_versions_are_told():
    assert entrypoint.version_problem(None) is None
    assert entrypoint.version_problem(tfx.__version__) is None
    assert "compiled by TFX 0.1.0, and this image" in entrypoint.version_problem("0.1.0")


def command_line(executor, executor_input):
    args = arguments(executor, executor_input, INPUTS_SPEC, tfx_version="0.1.0")
    flags = [f"--{name}={value}" for name, value in vars(args).items()]
    return [sys.executable, "-m", "pcgrad_tfx.kubeflow.entrypoint", *flags, "--runner=Some"]


def test_sigterm_is_answered_in_a_line(mounts, tmp_path):
    command = command_line(Waiting, invocation("s3://b", tmp_path, examples=artifact("s3://b/e")))
    with subprocess.Popen(
        command, cwd=Path(__file__).parent,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "waiting\n"
        process.terminate()
        _, shown = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert shown.splitlines()[-1].startswith("Terminated (SIGTERM). A training with")


def test_on_failure_the_last_line_is_what_went_wrong(mounts, tmp_path):
    executor_input = invocation("s3://b", tmp_path, examples=artifact("s3://b/e"))
    process = subprocess.run(
        command_line(Failing, executor_input), cwd=Path(__file__).parent, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.returncode == 1
    *_, remark, last = process.stdout.splitlines()
    assert last == "column 'fare' is missing; add it"
    assert remark.startswith("The pipeline was compiled by TFX 0.1.0")
    assert "a worker failed" in process.stdout
