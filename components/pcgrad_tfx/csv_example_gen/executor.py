"""Executor of CsvExampleGen: the checks, then the work of TFX's own executor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from tfx import v1 as tfx
from tfx.components.example_gen.csv_example_gen import executor
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import EXAMPLES_KEY

from pcgrad_tfx.csv_checks import check_csv
from pcgrad_tfx.csv_example_gen.reading import ReadCsv
from pcgrad_tfx.example_gen_checks import check_input, check_output
from pcgrad_tfx.shuffling import write_shuffled


class Executor(executor.Executor):
    """Runs `check_csv` on every input split, then generates the examples as TFX does."""

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
            exec_properties: As for TFX's CsvExampleGen; `custom_config` holds the checks.

        Raises:
            DataError: If a file must not be trained on, or the Beam runner lost rows.
        """
        checked = check_input(exec_properties, check_csv)
        self._missing = checked.missing
        self._examples = artifact_utils.get_single_instance(output_dict[EXAMPLES_KEY])
        super().Do(input_dict, output_dict, exec_properties)
        check_output(self._examples, checked.rows)

    def GetInputSourceToExamplePTransform(  # noqa: N802, TFX's own name
        self,
    ) -> Callable[..., beam.PTransform]:
        """What reads an input split, as TFX asks for it."""
        return functools.partial(ReadCsv, missing=self._missing)

    def GenerateExamplesByBeam(  # noqa: N802, TFX's own name
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Writes the rows of each split, and leaves none for TFX's executor to write."""
        write_shuffled(super().GenerateExamplesByBeam(pipeline, exec_properties), self._examples)
        return {}
