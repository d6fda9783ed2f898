"""Artifacts that open-source Kubeflow shows as pages.

Its user interface shows an artifact if its type is `system.HTML` and its URI that of an HTML file,
which TFX knows nothing of: `getVertifiedHtmlArtifacts` and `getHtmlViewerConfig` in
`frontend/src/components/viewers/MetricsVisualizations.tsx` of kubeflow/pipelines. So the compiled
pipeline says `system.HTML` and, in the artifact's metadata, TFX's type; the entry point gives TFX
its type back and afterwards the artifact the file's URI, which the launcher accepts and then
uploads this file only: `mergeRuntimeArtifacts` in `backend/src/v2/component/launcher_v2.go`.
"""

from __future__ import annotations

from typing import Any

import yaml
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.types import artifact
from tfx.utils import import_utils

_HTML = "system.HTML"
_VERSION = "0.0.1"
_TFX_TYPE = "tfxType"


def mark_pages(spec: dict[str, Any], kind: type[artifact.Artifact]) -> None:
    """Has Kubeflow show all outputs of a type as pages.

    Args:
        spec: The compiled PipelineSpec as JSON, changed in place.
        kind: The type; its `HTML_FILE` names a file in the artifact's folder.
    """
    for component in spec["components"].values():
        outputs = component.get("outputDefinitions", {}).get("artifacts", {})
        for output in outputs.values():
            schema = yaml.safe_load(output["artifactType"]["instanceSchema"])
            if schema["title"] == kind.TYPE_NAME:
                # Of the title only a server without ML Metadata sees what it is.
                output["artifactType"] = {"schemaTitle": _HTML, "schemaVersion": _VERSION}
                output["metadata"] = {_TFX_TYPE: kind.TYPE_NAME}


def restore_types(executor_input: pipeline_spec_pb2.ExecutorInput) -> dict[str, str]:
    """Gives outputs that `mark_pages` has marked their type in TFX.

    Returns:
        The file to show, by output.
    """
    files = {}
    for name, artifacts in executor_input.outputs.artifacts.items():
        for output in artifacts.artifacts:
            if output.type.schema_title == _HTML:
                kind = output.metadata[_TFX_TYPE]
                output.type.schema_title = kind
                files[name] = import_utils.import_class_by_path(kind).HTML_FILE
    return files


def point_to_files(
    executor_output: pipeline_spec_pb2.ExecutorOutput, files: dict[str, str]
) -> None:
    """Makes the URIs those of the files.

    Args:
        executor_output: Changed in place.
        files: What `restore_types` returned.
    """
    for name, file in files.items():
        for output in executor_output.artifacts[name].artifacts:
            output.uri = f"{output.uri}/{file}"
