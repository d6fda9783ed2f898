"""Checks of the data within an ExampleGen: from the pipeline's definition to its executor."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from google.protobuf import json_format, struct_pb2
from tfx import v1 as tfx
from tfx.types import standard_component_specs
from tfx.utils import proto_utils


def pack_checks(
    required: Collection[str], numeric: Collection[str], missing: Collection[str], min_rows: int
) -> tfx.proto.CustomConfig:
    """Packs the arguments of a check into the message that ExampleGen passes on."""
    checks = struct_pb2.Struct()
    # Sorted, because the order does not matter and must not miss the cache.
    columns = {"required": sorted(required), "numeric": sorted(numeric)}
    checks.update({**columns, "missing": sorted(missing), "min_rows": min_rows})
    config = tfx.proto.CustomConfig()
    config.custom_config.Pack(checks)
    return config


def _unpack_checks(custom_config: str) -> dict[str, Any]:
    config = proto_utils.json_to_proto(custom_config, tfx.proto.CustomConfig())
    packed = struct_pb2.Struct()
    config.custom_config.Unpack(packed)
    checks = json_format.MessageToDict(packed)
    return checks | {"min_rows": int(checks["min_rows"])}  # A Struct's numbers are floats.


def check_input(exec_properties: dict[str, Any], check: Callable[..., Any]) -> dict[str, Any]:
    """Checks the files of all input splits.

    Args:
        exec_properties: ExampleGen's; `custom_config` holds the checks.
        check: `check_csv`, or a function with the same arguments.

    Returns:
        What they were checked with: the arguments of `check` by name.

    Raises:
        DataError: If a file must not be trained on.
    """

    def message(key: str, empty: Any) -> Any:
        return proto_utils.json_to_proto(exec_properties[key], empty)

    checks = _unpack_checks(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
    output = message(standard_component_specs.OUTPUT_CONFIG_KEY, tfx.proto.Output())
    if not output.split_config.splits:
        # The user's own splits, each checked by itself: how large they are is their decision.
        checks["min_rows"] = 1
    splits = message(standard_component_specs.INPUT_CONFIG_KEY, tfx.proto.Input()).splits
    for split in splits:
        check(exec_properties[standard_component_specs.INPUT_BASE_KEY], split.pattern, **checks)
    return checks
