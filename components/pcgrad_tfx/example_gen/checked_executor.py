"""What the executors of our ExampleGens do beside TFX's: checks, and an order of the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import apache_beam as beam
from tfx import v1 as tfx
from tfx.components.example_gen import base_example_gen_executor
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import EXAMPLES_KEY

from pcgrad_tfx.data.row_checks import DataSummary
from pcgrad_tfx.example_gen.checks import check_input, check_output
from pcgrad_tfx.example_gen.shuffling import write_shuffled


class CheckedExecutor(base_example_gen_executor.BaseExampleGenExecutor):
    """Checks every input split, generates the examples as TFX does, counts them.

    To be put before one of TFX's executors.

    Attributes:
        check: `check_csv`, or a function with the same arguments.
        missing: While it runs: the texts that stand for a missing value.
    """

    check: ClassVar[Callable[..., DataSummary]]
    missing: tuple[str, ...] = ()

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the input and generates the examples.

        Args:
            input_dict: Not used; ExampleGen has no input artifacts.
            output_dict: `examples`, one artifact.
            exec_properties: As for TFX's ExampleGen; `custom_config` holds the checks.

        Raises:
            DataError: If a file must not be trained on, or the Beam runner lost rows.
        """
        checked = check_input(exec_properties, type(self).check)
        self.missing = checked.missing
        self._examples = artifact_utils.get_single_instance(output_dict[EXAMPLES_KEY])
        super().Do(input_dict, output_dict, exec_properties)
        check_output(self._examples, checked.rows)

    def GenerateExamplesByBeam(  # noqa: N802, TFX's own name
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Writes the rows of each split, and leaves none for TFX's executor to write."""
        write_shuffled(super().GenerateExamplesByBeam(pipeline, exec_properties), self._examples)
        return {}
