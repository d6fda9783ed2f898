"""Component that stops a pipeline on anomalies in the data."""

# Without `annotations` from __future__: TFX reads them as types.
import os
from typing import NamedTuple

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import v1 as tfx
from tfx.components.example_validator import executor as example_validator
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils
from tfx.v1.dsl.components import InputArtifact

from pcgrad_tfx.errors import DataError, brief, shown
from pcgrad_tfx.formatting import one_line

# The table stays readable, however wide the data are.
_MAX_ROWS = 30
_MAX_DETAIL = 120


@tfx.dsl.components.component
def ValidationGate(  # noqa: N802, a component's name
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
) -> None:
    """Fails, and with it the pipeline, if the data has anomalies or a split is empty.

    TFX's ExampleValidator only writes down what it finds. What must not run on bad data runs
    after the gate: `transform.add_upstream_node(validation_gate)`. It has no outputs: whether a
    node runs after the gate is a matter of order; a file that every stock component would have to
    take as an input is not needed for it.

    Args:
        statistics: Of StatisticsGen.
        anomalies: Of ExampleValidator.

    Raises:
        DataError: If a split has no examples, or if there are anomalies. The message's first line
            tells the first of them and the remedy; the table of all follows.
    """
    _check_splits(statistics)
    if found := _read_anomalies(anomalies):
        raise DataError(_report(found))


class Anomaly(NamedTuple):
    """A row of the table that the gate shows."""

    split: str
    column: str
    anomaly: str
    detail: str


def _check_splits(statistics: tfx.dsl.Artifact) -> None:
    splits = artifact_utils.decode_split_names(statistics.split_names)
    for split in splits:
        datasets = stats_artifact_utils.load_statistics(statistics, split).proto().datasets
        if not any(dataset.num_examples for dataset in datasets):
            raise DataError(
                f"split {split!r} has no examples (the splits are {', '.join(splits)}); "
                "add data or change the splits"
            )


def _read_anomalies(artifact: tfx.dsl.Artifact) -> list[Anomaly]:
    found = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        path = os.path.join(
            artifact_utils.get_split_uri([artifact], split), example_validator.DEFAULT_FILE_NAME
        )
        anomalies = anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(path))
        infos = sorted(anomalies.anomaly_info.items())
        if anomalies.HasField("dataset_anomaly_info"):
            infos.insert(0, ("(all)", anomalies.dataset_anomaly_info))
        found += [
            # TFDV's descriptions cite values from the data, which must not break the table.
            Anomaly(
                split,
                column,
                reason.short_description,
                brief(one_line(reason.description), _MAX_DETAIL),
            )
            for column, info in infos
            for reason in info.reason
        ]
    return found


def _report(found: list[Anomaly]) -> str:
    split, column, anomaly, detail = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    rows = [tuple(name.capitalize() for name in Anomaly._fields)]
    rows += [(a.split, brief(a.column), a.anomaly, a.detail) for a in found[:_MAX_ROWS]]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if len(found) > _MAX_ROWS:
        table.append(f"… and {len(found) - _MAX_ROWS} more")
    first_line = (
        f"split {split!r}, column {shown(column)}: {anomaly}: {detail.rstrip('.')}{more}; "
        "correct the data or, if they are right, the schema"
    )
    return "\n".join([first_line, "", *table])
