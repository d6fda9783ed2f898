"""Component that brings a curated schema into the pipeline."""

from __future__ import annotations

from typing import ClassVar

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec

from pcgrad_tfx.config.schema import parse_schema
from pcgrad_tfx.validation.curated_schema import executor


class CuratedSchemaSpec(component_spec.ComponentSpec):
    """The text of the schema, and the artifact made of it."""

    PARAMETERS: ClassVar[dict[str, component_spec.ExecutionParameter]] = {
        executor.TEXT_KEY: component_spec.ExecutionParameter(type=str)
    }
    INPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {}
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.SCHEMA_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.Schema
        )
    }


class CuratedSchema(base_component.BaseComponent):
    """Writes a schema whose text is part of the pipeline.

    TFX's ImportSchemaGen reads a file instead. A Kubeflow pod cannot read a file of the machine
    that compiled the pipeline, and where the file is there, the cache follows its path, not its
    content.

    Component `outputs` contains:

    - `schema`: Channel of type `standard_artifacts.Schema`.
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, text: str) -> None:
        """Constructs the component.

        Args:
            text: The schema in protobuf's text format.

        Raises:
            ValueError: If the text is no schema.
        """
        parse_schema(text)
        channel = tfx.dsl.Channel(type=tfx.types.standard_artifacts.Schema)
        super().__init__(spec=CuratedSchemaSpec(text=text, schema=channel))
