"""Executor of CsvExampleGen: the checks, then TFX's own executor."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format, struct_pb2
from tfx import v1 as tfx
from tfx.components.example_gen.csv_example_gen import executor
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from pcgrad_tfx.csv_checks import check_csv


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
            DataError: If a file must not be trained on.
        """
        _check_input(exec_properties)
        super().Do(input_dict, output_dict, exec_properties)


def pack_checks(required: list[str], numeric: list[str], min_rows: int) -> tfx.proto.CustomConfig:
    """Packs the arguments of `check_csv` into the message that ExampleGen passes on."""
    checks = struct_pb2.Struct()
    checks.update({"required": required, "numeric": numeric, "min_rows": min_rows})
    config = tfx.proto.CustomConfig()
    config.custom_config.Pack(checks)
    return config


def _unpack_checks(custom_config: str) -> dict[str, Any]:
    config = proto_utils.json_to_proto(custom_config, tfx.proto.CustomConfig())
    packed = struct_pb2.Struct()
    config.custom_config.Unpack(packed)
    checks = json_format.MessageToDict(packed)
    return checks | {"min_rows": int(checks["min_rows"])}  # A Struct's numbers are floats.


def _check_input(exec_properties: dict[str, Any]) -> None:
    def message(key: str, empty: Any) -> Any:
        return proto_utils.json_to_proto(exec_properties[key], empty)

    checks = _unpack_checks(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
    output = message(standard_component_specs.OUTPUT_CONFIG_KEY, tfx.proto.Output())
    if not output.split_config.splits:
        # The user's own splits, each checked by itself: how large they are is their decision.
        checks["min_rows"] = 1
    splits = message(standard_component_specs.INPUT_CONFIG_KEY, tfx.proto.Input()).splits
    for split in splits:
        check_csv(exec_properties[standard_component_specs.INPUT_BASE_KEY], split.pattern, **checks)
