"""Bases of our components and their executors: what TFX asks of each, said once."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec

Artifacts: TypeAlias = Mapping[str, tfx.dsl.Artifact]


class Executor(base_executor.BaseExecutor):
    """An executor whose component has one artifact for each input and output."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Calls `run`; an optional input without an artifact is left out."""
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs, outputs = (
            {key: artifact_utils.get_single_instance(found) for key, found in of.items() if found}
            for of in (input_dict, output_dict)
        )
        self.run(inputs, outputs, exec_properties)

    @abc.abstractmethod
    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Does the work.

        Args:
            inputs: Artifacts to read, by key.
            outputs: Artifacts to write, by key.
            properties: Execution parameters, by name.
        """


class Component(base_component.BaseComponent):
    """A component that is declared by the names and types of what it takes and makes.

    They are keywords of the subclass: `class Gate(Component, executor=…, inputs={"model": Model})`.

    Args:
        **arguments: Execution parameters and input channels, by name.
    """

    def __init_subclass__(
        cls,
        *,
        executor: type[base_executor.BaseExecutor] | None = None,
        parameters: Mapping[str, type] | None = None,
        inputs: Mapping[str, type] | None = None,
        outputs: Mapping[str, type] | None = None,
        optional: Collection[str] = (),
    ) -> None:
        """Makes the specification.

        Args:
            executor: The executor; None in a subclass of a component, which keeps all of it.
            parameters: Types of the execution parameters.
            inputs: Types of the input artifacts.
            outputs: Types of the output artifacts.
            optional: Parameters and inputs that need not be given.
        """
        super().__init_subclass__()
        if executor is None:
            return

        def declared(kind: Any, types: Mapping[str, type] | None) -> dict[str, Any]:
            return {n: kind(type=t, optional=n in optional) for n, t in (types or {}).items()}

        specification = {
            "PARAMETERS": declared(component_spec.ExecutionParameter, parameters),
            "INPUTS": declared(component_spec.ChannelParameter, inputs),
            "OUTPUTS": declared(component_spec.ChannelParameter, outputs),
        }
        cls.SPEC_CLASS = type(f"{cls.__name__}Spec", (component_spec.ComponentSpec,), specification)
        cls.EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor)

    def __init__(self, **arguments: Any) -> None:
        channels = {
            name: tfx.dsl.Channel(type=output.type)
            for name, output in self.SPEC_CLASS.OUTPUTS.items()
        }
        super().__init__(spec=self.SPEC_CLASS(**arguments, **channels))
