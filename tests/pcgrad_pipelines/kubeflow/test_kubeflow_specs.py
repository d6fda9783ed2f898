"""The compiled pipelines: parsed strictly, and what options do to them."""

import contextlib
import json
import subprocess
import sys

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from tfx import v1 as tfx

from kfp_rules import broken_rules
from kubeflow_runs import (
    BASELINE,
    COMMON,
    SUFFIX,
    compile_for,
    containers,
    documents,
    spec,
    write_houses,
)
from pcgrad_pipelines.config import ConfigError
from pcgrad_pipelines.kubeflow.runner import FAILED, main
from pcgrad_pipelines.kubeflow.spec import check_size

PARAMETERS = {
    "data_root": "/opt/site-packages/tfx/components/testdata/external/csv",
    "push_destination": '{"filesystem": {"base_directory": "gs://models/taxi"}}',
    "surgery": "pcgrad",
    "epochs": 0,
    "learning_rate": 0.001,
    "seed": 0,
}


def test_both_are_the_same_dag_but_for_the_baseline(compiled):
    for target, baseline in BASELINE.items():
        assert set(spec(compiled(target))["root"]["dag"]["tasks"]) == COMMON | baseline


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_a_comparison_is_part_of_it_where_the_configuration_has_one(tmp_path, target):
    config = write_houses(tmp_path)
    config.write_text(config.read_text() + "\n[comparison]\nseeds = 3\n")
    arguments = [f"--config={config}", "--data=gs://bucket/houses.csv"]
    path = compile_for(target, tmp_path / f"houses.{SUFFIX[target]}", *arguments)
    tasks = spec(path)["root"]["dag"]["tasks"]
    assert tasks["ConflictReport"]["inputs"]["artifacts"]["comparison"]["taskOutputArtifact"] == {
        "producerTask": "Comparison", "outputArtifactKey": "comparison",
    }  # fmt: skip
    if target == "kfp":
        assert broken_rules(documents(path)) == {}


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_they_parse_strictly(compiled, target):
    # ParseDict refuses unknown fields.
    parsed = json_format.ParseDict(spec(compiled(target)), pb.PipelineSpec())
    deployment = json_format.MessageToDict(parsed.deployment_spec)
    parsed_deployment = json_format.ParseDict(deployment, pb.PipelineDeploymentConfig())
    assert parsed.schema_version == "2.1.0"
    labels = {component.executor_label for component in parsed.components.values()}
    assert labels == set(parsed_deployment.executors)


def test_vertex_ai_gets_a_job(compiled):
    path = compiled("vertex")
    job = json_format.ParseDict(json.loads(path.read_text()), pb.PipelineJob())
    assert job.runtime_config.gcs_output_directory == "gs://bucket/pipelines"
    loaded = aiplatform.PipelineJob(
        display_name="taxi",
        template_path=str(path),
        parameter_values={"epochs": 3, "learning_rate": 0.01, "surgery": "none"},
        project="project",
        location="europe-west1",
        credentials=AnonymousCredentials(),
    )
    assert loaded.runtime_config.parameter_values["epochs"] == 3
    assert loaded.pipeline_spec["pipelineInfo"]["name"] == "taxi"


def test_kubeflow_gets_a_component_with_the_runtime_parameters_as_inputs(compiled):
    component = components.load_component_from_file(str(compiled("kfp")))
    assert component.name == "taxi"
    inputs = component.component_spec.inputs
    assert {name: given.default for name, given in inputs.items()} == PARAMETERS


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_runtime_parameters_have_defaults_of_their_types(compiled, target):
    declared = spec(compiled(target))["root"]["inputDefinitions"]["parameters"]
    expected = dict(PARAMETERS)
    if target == "vertex":
        destination = {"filesystem": {"base_directory": "gs://bucket/pipelines/pushed_model"}}
        expected["push_destination"] = json.dumps(destination)
    assert {name: parameter["defaultValue"] for name, parameter in declared.items()} == expected
    assert {name: parameter["parameterType"] for name, parameter in declared.items()} == {
        "data_root": "STRING",
        "push_destination": "STRING",
        "surgery": "STRING",
        "epochs": "NUMBER_INTEGER",
        "learning_rate": "NUMBER_DOUBLE",
        "seed": "NUMBER_INTEGER",
    }


def test_runtime_parameters_reach_the_steps(compiled):
    reached = {
        (task, name): given["componentInputParameter"]
        for task, found in spec(compiled("kfp"))["root"]["dag"]["tasks"].items()
        for name, given in found["inputs"].get("parameters", {}).items()
        if "componentInputParameter" in given
    }
    settings = ("surgery", "epochs", "learning_rate", "seed")
    assert reached == {("TrainingParameters", name): name for name in settings} | {
        ("CsvExampleGen", "input_base"): "data_root",
        ("LastPushedModel", "push_destination"): "push_destination",
        ("Pusher", "push_destination"): "push_destination",
    }


def test_options_change_the_defaults(compiled):
    options = ["--surgery=none", "--epochs=2", "--learning-rate=0.5", "--seed=7"]
    path = compiled("kfp", *options, "--data=gs://data/trips.csv", "--push-destination=gs://m")
    declared = spec(path)["root"]["inputDefinitions"]["parameters"]
    assert {name: parameter["defaultValue"] for name, parameter in declared.items()} == {
        "data_root": "gs://data",
        "push_destination": '{"filesystem": {"base_directory": "gs://m"}}',
        "surgery": "none",
        "epochs": 2,
        "learning_rate": 0.5,
        "seed": 7,
    }
    inputs = spec(path)["root"]["dag"]["tasks"]["CsvExampleGen"]["inputs"]["parameters"]
    assert '"trips.csv"' in inputs["input_config"]["runtimeValue"]["constant"]


def test_steps_run_in_the_image_by_our_entry_point_or_on_vertex_ai_by_tfx_own(compiled):
    commands = {
        "kfp": ["pcgrad_tfx.kubeflow.entrypoint", f"--tfx_version={tfx.__version__}"],
        "vertex": ["tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"],
    }
    for target, command in commands.items():
        for container in containers(compiled(target)).values():
            assert container["image"] == "registry/tfx-pcgrad:1"
            assert container["command"] == ["python", "-m", *command]
            assert container["args"][-1].endswith(".FnApiRunner")


def test_kubeflow_reuses_all_but_what_looks_at_files_that_it_does_not_see(compiled):
    def cached(path):
        tasks = spec(path)["root"]["dag"]["tasks"]
        return {name for name, task in tasks.items() if "cachingOptions" in task}

    everything = COMMON | BASELINE["kfp"]
    assert cached(compiled("kfp")) == everything - {"CsvExampleGen", "LastPushedModel"}
    assert cached(compiled("kfp", "--cache-examples")) == everything - {"LastPushedModel"}
    assert cached(compiled("kfp", "--no-cache")) == set()
    assert "CsvExampleGen" in cached(compiled("vertex"))


def test_what_is_too_long_for_kubeflow_is_not_compiled(tmp_path, capsys):
    columns = json.dumps([f"a_column_with_the_number_{number}" for number in range(1000)])
    config = write_houses(tmp_path)
    config.write_text(config.read_text().replace('["area"]', columns))
    path = tmp_path / "houses.yaml"
    arguments = [f"--config={config}", "--data=gs://houses", f"--output={path}", "--image=i"]
    places = ["--pipeline-root=minio://b", "--push-destination=gs://p"]
    assert main(["--target=kfp", *arguments, *places]) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("the compiled DAG has 1")
    assert "most of it is CsvExampleGen (" in line
    assert not path.exists()
    # Google's client hands a file over.
    compile_for("vertex", tmp_path / "houses.json", *arguments[:2])


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of Linux, where the pods run")
def test_what_is_compiled_is_not_too_long_for_linux():
    def root(size):
        return {"dag": {"tasks": {"a": "x" * (size - len('{"dag":{"tasks":{"a":""}}}'))}}}

    for size in (2**17 - 1, 2**17):
        argument = json.dumps(root(size), separators=(",", ":"))
        assert len(argument) == size
        with contextlib.nullcontext() if size < 2**17 else pytest.raises(OSError, match="too long"):
            subprocess.run(["true", argument], check=True)
        with contextlib.nullcontext() if size < 2**17 else pytest.raises(ConfigError):
            check_size({"root": root(size)})


def test_steps_of_a_distributed_beam_runner_open_gcs_themselves(compiled):
    path = compiled(
        "kfp",
        "--pipeline-root=gs://bucket/pipelines",
        "--beam-runner=DataflowRunner",
        "--dataflow-region=europe-west1",
        "--dataflow-temp=gs://bucket/tmp",
        "--beam-image=worker:1",
        "--beam-arg=--project=mine",
    )
    for container in containers(path).values():
        assert container["command"][-1] == "--keep_gcs"
        assert container["args"][-5:] == [
            "--runner=DataflowRunner",
            "--region=europe-west1",
            "--temp_location=gs://bucket/tmp",
            "--sdk_container_image=worker:1",
            "--project=mine",
        ]
