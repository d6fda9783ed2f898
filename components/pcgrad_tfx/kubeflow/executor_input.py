"""What open-source Kubeflow hands to a step, turned into what TFX's entry point expects.

TFX's is written for Vertex AI. The differences, with their places in kubeflow/pipelines, are told
at each function. All of them change an `ExecutorInput` in place.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.orchestration.kubeflow.v2.file_based_example_gen import driver
from tfx.types import standard_component_specs

from pcgrad_tfx.kubeflow.last_pushed import is_absent
from pcgrad_tfx.kubeflow.uris import LocalPaths, local_path


def complete_types(
    executor_input: pipeline_spec_pb2.ExecutorInput,
    inputs_spec: pipeline_spec_pb2.ComponentInputsSpec,
) -> None:
    """Gives input artifacts the types that the component declares for them.

    By those that they arrive with TFX cannot make its artifacts: an empty one, or, on servers
    without ML Metadata, a whole schema as its title. Sources: `GetOutputArtifactsByExecutionId` in
    `backend/src/v2/metadata/client.go`; `convertArtifactToRuntimeArtifact` in
    `backend/src/v2/driver/container.go` of the branch mlmd-removal.
    """
    for name, artifacts in executor_input.inputs.artifacts.items():
        for artifact in artifacts.artifacts:
            artifact.type.CopyFrom(inputs_spec.artifacts[name].artifact_type)


def drop_absent_inputs(executor_input: pipeline_spec_pb2.ExecutorInput) -> None:
    """Leaves out the inputs that stand for nothing; see `pcgrad_tfx.kubeflow.last_pushed`."""
    inputs = executor_input.inputs.artifacts
    parsed = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(inputs)
    for name, artifacts in parsed.items():
        if any(map(is_absent, artifacts)):
            del inputs[name]


def drop_launcher_outputs(executor_input: pipeline_spec_pb2.ExecutorInput) -> None:
    """Leaves out the outputs that are not the component's, but Kubeflow's own.

    That is the log which the launcher writes, an output of a type that TFX does not know. Source:
    `provisionOutputs` in `backend/src/v2/driver/driver.go`.
    """
    outputs = executor_input.outputs.artifacts
    for name in list(outputs):
        types = [artifact.type.schema_title for artifact in outputs[name].artifacts]
        if any(title.startswith("system.") for title in types):
            del outputs[name]


def drive_example_gen(
    executor_input: pipeline_spec_pb2.ExecutorInput,
    inputs_spec: pipeline_spec_pb2.ComponentInputsSpec,
) -> None:
    """Resolves span and version of a file-based ExampleGen, as TFX's driver for Vertex AI does.

    The compiled specification has it run by a lifecycle hook, which is ignored: nothing in
    `backend/` reads `lifecycle`. The resolved properties go into the file of outputs, where TFX's
    entry point looks for them; those of the examples go into `executor_input`.
    """
    properties = {
        standard_component_specs.INPUT_BASE_KEY,
        standard_component_specs.INPUT_CONFIG_KEY,
    }
    output_file = executor_input.outputs.output_file
    if not properties <= set(executor_input.inputs.parameter_values) or fileio.exists(output_file):
        return
    driver.main(
        argparse.Namespace(
            json_serialized_invocation_args=json_format.MessageToJson(executor_input),
            json_serialized_inputs_spec_args=json_format.MessageToJson(inputs_spec),
        )
    )
    resolved = read_output(output_file).artifacts[standard_component_specs.EXAMPLES_KEY]
    (examples,) = executor_input.outputs.artifacts[standard_component_specs.EXAMPLES_KEY].artifacts
    examples.metadata.MergeFrom(resolved.artifacts[0].metadata)


def to_local_paths(
    executor_input: pipeline_spec_pb2.ExecutorInput, keep_gcs: bool = False
) -> LocalPaths:
    """Puts local paths in place of the artifacts' URIs.

    Args:
        executor_input: Of the step.
        keep_gcs: See `LocalPaths`.

    Returns:
        The paths, to translate them back.
    """
    artifacts = [
        *_all(executor_input.inputs.artifacts.values()),
        *_all(executor_input.outputs.artifacts.values()),
    ]
    paths = LocalPaths((artifact.uri for artifact in artifacts), keep_gcs)
    for artifact in artifacts:
        artifact.uri = paths.path(artifact.uri)
    return paths


def to_uris(executor_output: pipeline_spec_pb2.ExecutorOutput, paths: LocalPaths) -> None:
    """Puts the URIs back, also where an artifact's metadata speak of another artifact."""
    for artifact in _all(executor_output.artifacts.values()):
        artifact.uri = paths.uri(artifact.uri)
        for key, value in list(artifact.metadata.items()):
            if isinstance(value, str):
                artifact.metadata[key] = paths.uri(value)


def make_missing_outputs(executor_output: pipeline_spec_pb2.ExecutorOutput) -> None:
    """Makes an empty folder where the launcher looks for an output and there is none.

    A component may leave an output empty, or have written it to `gs://` itself. Servers without ML
    Metadata take that for an error: `uploadOutputArtifacts` in
    `backend/src/v2/component/launcher_v2.go` of the branch mlmd-removal.
    """
    for artifact in _all(executor_output.artifacts.values()):
        path = local_path(artifact.uri)
        if "://" not in path and not os.path.exists(path):
            os.makedirs(path)


def read_output(path: str) -> pipeline_spec_pb2.ExecutorOutput:
    """Reads the file in which a step says what it has made."""
    with fileio.open(path, "r") as file:
        return json_format.Parse(file.read(), pipeline_spec_pb2.ExecutorOutput())


def _all(
    lists: Iterable[pipeline_spec_pb2.ArtifactList],
) -> list[pipeline_spec_pb2.RuntimeArtifact]:
    return [artifact for artifacts in lists for artifact in artifacts.artifacts]
