"""Component that brings a curated schema into the pipeline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tfx.components.schema_gen import executor as schema_gen
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from pcgrad_tfx import component
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.config.schema import parse_schema


class Executor(component.Executor):
    """Writes the schema as SchemaGen does."""

    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Writes `text` to the file of `schema`."""
        path = os.path.join(outputs["schema"].uri, schema_gen.DEFAULT_FILE_NAME)
        io_utils.write_string_file(path, properties["text"])


class CuratedSchema(
    component.Component,
    executor=Executor,
    parameters={"text": str},
    outputs={"schema": standard_artifacts.Schema},
):
    """Writes a schema whose text is part of the pipeline.

    TFX's ImportSchemaGen reads a file instead. A Kubeflow pod cannot read a file of the machine
    that compiled the pipeline, and where the file is there, the cache follows its path, not its
    content.

    Component `outputs` contains:

    - `schema`: Channel of type `standard_artifacts.Schema`.
    """

    def __init__(self, text: str) -> None:
        """Constructs the component.

        Args:
            text: The schema in protobuf's text format.

        Raises:
            ValueError: If the text is no schema.
        """
        parse_schema(text)
        super().__init__(text=text)
