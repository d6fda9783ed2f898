"""A component's page on open-source Kubeflow: its type is Kubeflow's, its URI that of the file."""

import argparse
import json

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from tfx import v1 as tfx
from tfx.types import standard_artifacts
from tfx.utils import name_utils

from pcgrad_tfx.conflict_report import ConflictReport, ConflictReportPage
from pcgrad_tfx.conflict_report.component import Executor
from pcgrad_tfx.kubeflow import entrypoint
from pcgrad_tfx.kubeflow.pages import mark_pages
from pcgrad_tfx.kubeflow.uris import MOUNT_ROOT_VARIABLE
from report_data import settings, write_model_run

ROOT = "minio://mlpipeline/v2/some/run"


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A pipeline of an importer and the component, as TFX compiles it."""
    model_run = tfx.dsl.Importer(
        source_uri=f"{ROOT}/model_run", artifact_type=standard_artifacts.ModelRun
    ).with_id("Training")
    node = ConflictReport(model_run.outputs["result"], "taxi", {"Source": "trips.csv"})
    pipeline = tfx.dsl.Pipeline("some", ROOT, components=[model_run, node])
    experimental = tfx.orchestration.experimental
    config = experimental.KubeflowV2DagRunnerConfig(
        default_image="image", use_pipeline_spec_2_1=True
    )
    compiled = tmp_path_factory.mktemp("compiled")
    experimental.KubeflowV2DagRunner(config, str(compiled), "pipeline.yaml").run(pipeline)
    return yaml.safe_load((compiled / "pipeline.yaml").read_text())


def declared_output(spec):
    return spec["components"]["ConflictReport"]["outputDefinitions"]["artifacts"]["report"]


def run_step(spec, root, mounts):
    """Runs the step as the launcher does, and returns what it says about its output."""
    tasks = ("a", "b")
    local = mounts / "minio" / root.removeprefix("minio://")
    write_model_run(local / "model_run", tasks, [-0.3], settings=settings(tasks))
    component = spec["components"]["ConflictReport"]
    task = spec["root"]["dag"]["tasks"]["ConflictReport"]
    parameters = task["inputs"]["parameters"]
    model_run = {"name": "7", "uri": f"{root}/model_run", "type": {"instanceSchema": ""}}
    output = declared_output(spec)
    report = {
        "uri": f"{root}/report",
        "type": output["artifactType"],
        "metadata": output.get("metadata", {}),
    }
    output_file = mounts / "output_metadata.json"
    executor_input = {
        "inputs": {
            "artifacts": {"model_run": {"artifacts": [model_run]}},
            "parameterValues": {
                name: value["runtimeValue"]["constant"] for name, value in parameters.items()
            },
        },
        "outputs": {
            "artifacts": {"report": {"artifacts": [report]}},
            "outputFile": str(output_file),
        },
    }
    arguments = argparse.Namespace(
        executor_class_path=name_utils.get_full_name(Executor),
        json_serialized_invocation_args=json.dumps(executor_input),
        json_serialized_inputs_spec_args=json.dumps(component["inputDefinitions"]),
        keep_gcs=False,
    )
    entrypoint.run(arguments, [])
    made = json_format.Parse(output_file.read_text(), pb.ExecutorOutput())
    (artifact,) = made.artifacts["report"].artifacts
    return artifact


def test_it_is_shown_as_a_page(spec, tmp_path, monkeypatch):
    monkeypatch.setenv(MOUNT_ROOT_VARIABLE, str(tmp_path / "mounts"))
    marked = json.loads(json.dumps(spec))
    mark_pages(marked, ConflictReportPage)
    # What the server takes for the type's name: getArtifactSchema, component/launcher_v2.go;
    # without ML Metadata artifactTypeSchemaToArtifactType, component/util.go
    assert declared_output(marked)["artifactType"]["schemaTitle"] == "system.HTML"
    assert "instanceSchema" not in declared_output(marked)["artifactType"]
    made = run_step(marked, ROOT, tmp_path / "mounts")
    assert made.uri == f"{ROOT}/report/report.html"
    local = tmp_path / "mounts" / "minio" / made.uri.removeprefix("minio://")
    assert local.read_text().startswith("<!DOCTYPE html>")


def test_unmarked_it_is_an_artifact_of_tfx(spec, tmp_path, monkeypatch):
    """As on Vertex AI."""
    monkeypatch.setenv(MOUNT_ROOT_VARIABLE, str(tmp_path / "mounts"))
    schema = yaml.safe_load(declared_output(spec)["artifactType"]["instanceSchema"])
    assert schema["title"] == ConflictReportPage.TYPE_NAME
    made = run_step(spec, ROOT, tmp_path / "mounts")
    assert made.uri == f"{ROOT}/report"
    report = tmp_path / "mounts" / "minio" / ROOT.removeprefix("minio://") / "report"
    assert {file.name for file in report.iterdir()} == {"report.html", "report.json"}


def test_other_outputs_stay_as_they_are(spec):
    marked = json.loads(json.dumps(spec))
    mark_pages(marked, ConflictReportPage)
    changed = [name for name, c in spec["components"].items() if c != marked["components"][name]]
    assert changed == ["ConflictReport"]
