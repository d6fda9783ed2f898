"""ValidationGate stops the pipeline on anomalies; the taxi schema finds them."""

from importlib import resources
from pathlib import Path

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import v1 as tfx
from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner
from tfx.types import standard_artifacts
from tfx.types.artifact_utils import encode_split_names

import pcgrad_pipelines
from pcgrad_tfx.data.csv_checks import csv_location
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.example_gen.csv_example_gen import CsvExampleGen, Executor
from pcgrad_tfx.validation.validation_gate import ValidationGate
from pcgrad_tfx.validation.validation_gate import ValidationGate_Executor as Gate
from transformed import artifact

TAXI_SCHEMA = Path(pcgrad_pipelines.__file__).with_name("taxi_schema.pbtxt")
TAXI_DATA = "components/testdata/external/csv/data.csv"

SCHEMA = """
feature {
  name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 }
  float_domain { min: 0.0 max: 1000.0 }
}
feature { name: "name" type: BYTES presence { min_fraction: 1.0 min_count: 1 } }
"""
GOOD = "fare,name\n" + "".join(f"{i}.5,rider {i}\n" for i in range(200))


def validate(runner: type, data: Path, schema: Path, folder: Path) -> None:
    """Runs everything up to the gate, on splits 8:1:1."""
    input_base, pattern = csv_location(str(data))
    buckets = {"train": 8, "eval": 1, "test": 1}
    example_gen = CsvExampleGen(
        input_base,
        min_rows=1,
        input_config=tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern=pattern)]),
        output_config=tfx.proto.Output(
            split_config=tfx.proto.SplitConfig(
                splits=[
                    tfx.proto.SplitConfig.Split(name=name, hash_buckets=share)
                    for name, share in buckets.items()
                ]
            )
        ),
    )
    statistics_gen = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"])
    import_schema = tfx.components.ImportSchemaGen(schema_file=str(schema))
    example_validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=import_schema.outputs["schema"]
    )
    gate = ValidationGate(
        statistics=statistics_gen.outputs["statistics"],
        anomalies=example_validator.outputs["anomalies"],
    )
    runner().run(
        tfx.dsl.Pipeline(
            pipeline_name="validation",
            pipeline_root=str(folder / "root"),
            components=[example_gen, statistics_gen, import_schema, example_validator, gate],
            metadata_connection_config=(
                tfx.orchestration.metadata.sqlite_metadata_connection_config(
                    str(folder / "metadata.sqlite")
                )
            ),
        )
    )


def run(table: str, folder: Path, runner: type = tfx.orchestration.LocalDagRunner) -> None:
    """Runs a small table against SCHEMA."""
    data, schema = folder / "data.csv", folder / "schema.pbtxt"
    data.write_text(table)
    schema.write_text(SCHEMA)
    validate(runner, data, schema, folder)


def test_good_data_passes(tmp_path):
    run(GOOD, tmp_path)


@pytest.mark.parametrize("runner", [BeamDagRunner, tfx.orchestration.LocalDagRunner])
def test_anomalies_stop_the_pipeline_with_a_table(tmp_path, runner):
    with pytest.raises(DataError) as caught:
        run(GOOD.replace("name", "nam") + "-3.0,Ann\n" * 50, tmp_path, runner)
    first_line, blank, header, *rows = str(caught.value).splitlines()
    assert first_line.startswith("split 'train', column 'fare': Out-of-range values: ")
    assert "-3<0" in first_line
    assert first_line.endswith("(and 6 more); correct the data or, if they are right, the schema")
    assert blank == ""
    assert header.split() == ["Split", "Column", "Anomaly", "Detail"]
    found = [tuple(row.split()[:2]) for row in rows]
    assert found[0] == ("train", "fare")
    assert found[1:] == [
        (split, column) for split in ("train", "eval", "test") for column in ("nam", "name")
    ]


def test_an_empty_split_stops_the_pipeline(tmp_path):
    with pytest.raises(DataError, match=r"^split 'eval' has no examples .*; add data or "):
        run("fare,name\n1.5,Ann\n2.5,Bob\n3.5,Cid\n", tmp_path)


def test_an_anomaly_of_the_whole_data_stops_the_pipeline(tmp_path):
    """Such as too few examples; with one of a column, it comes first."""
    info = anomalies_pb2.AnomalyInfo(
        reason=[
            anomalies_pb2.AnomalyInfo.Reason(
                short_description="Low num examples", description="The dataset has 3 < 100"
            )
        ]
    )
    found = anomalies_pb2.Anomalies(dataset_anomaly_info=info, anomaly_info={"fare": info})
    (tmp_path / "anomalies" / "Split-train").mkdir(parents=True)
    path = tmp_path / "anomalies" / "Split-train" / "SchemaDiff.pb"
    inputs = {
        "statistics": [artifact(standard_artifacts.ExampleStatistics, tmp_path / "statistics")],
        "anomalies": [artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")],
    }
    inputs["statistics"][0].split_names = encode_split_names([])
    inputs["anomalies"][0].split_names = encode_split_names(["train"])
    path.write_bytes(anomalies_pb2.Anomalies().SerializeToString())
    Gate().Do(inputs, {}, {})
    path.write_bytes(found.SerializeToString())
    with pytest.raises(DataError) as caught:
        Gate().Do(inputs, {}, {})
    first_line, _, _, *rows = str(caught.value).splitlines()
    assert first_line.startswith("split 'train', column '(all)': Low num examples: The dataset has")
    assert [row.split()[1] for row in rows] == ["(all)", "fare"]


def test_the_taxi_trips_pass(tmp_path):
    with resources.as_file(resources.files("tfx") / TAXI_DATA) as data:
        validate(BeamDagRunner, data, TAXI_SCHEMA, tmp_path)


@pytest.fixture
def trips() -> pd.DataFrame:
    with resources.as_file(resources.files("tfx") / TAXI_DATA) as file:
        return pd.read_csv(file, nrows=500, dtype=str, keep_default_na=False)


def taxi_anomalies(trips: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Column and anomaly of what the taxi schema finds in the examples made of the trips."""
    trips.to_csv(folder / "trips.csv", index=False)
    examples = tfx.types.standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    one_split = tfx.proto.SplitConfig(
        splits=[tfx.proto.SplitConfig.Split(name="all", hash_buckets=1)]
    )
    example_gen = CsvExampleGen(str(folder), output_config=tfx.proto.Output(split_config=one_split))
    Executor().Do({}, {"examples": [examples]}, dict(example_gen.exec_properties))
    anomalies = tfdv.validate_statistics(
        tfdv.generate_statistics_from_tfrecord(f"{examples.uri}/Split-all/*"),
        tfdv.load_schema_text(str(TAXI_SCHEMA)),
    )
    return {column: info.short_description for column, info in anomalies.anomaly_info.items()}


# Column: a value that must not pass in a single row, and what it is called.
BAD_CELLS = [
    {
        "fare": ("abc", "Multiple errors"),
        "tips": ("", "Missing values"),
        "trip_seconds": ("100000.0", "Out-of-range values"),
        "trip_start_hour": ("24", "Out-of-range values"),
        "trip_start_day": ("0", "Out-of-range values"),
        "trip_start_month": ("13", "Out-of-range values"),
        "pickup_latitude": ("0.0", "Out-of-range values"),
        "dropoff_longitude": ("87.6", "Out-of-range values"),
        "pickup_community_area": ("78", "Out-of-range values"),
        "dropoff_community_area": ("Loop", "Multiple errors"),
    },
    {
        "fare": ("-3.0", "Out-of-range values"),
        "tips": ("nan", "Invalid values"),
        "trip_start_hour": ("", "Missing values"),
        "trip_start_month": ("10.5", "Unexpected data type"),
        "trip_start_timestamp": ("20131021", "Out-of-range values"),
    },
]


@pytest.mark.parametrize("bad_cells", BAD_CELLS)
def test_the_taxi_schema_finds_single_bad_cells_and_nothing_else(trips, tmp_path, bad_cells):
    for column, (value, _) in bad_cells.items():
        trips.loc[0, column] = value
    expected = {column: anomaly for column, (_, anomaly) in bad_cells.items()}
    assert taxi_anomalies(trips, tmp_path) == expected


def test_the_taxi_schema_finds_columns_that_come_go_or_hold_something_else(trips, tmp_path):
    trips = trips.rename(columns={"tips": "tip"})
    trips["company"] = trips["payment_type"]
    trips["dropoff_latitude"] = ""
    assert taxi_anomalies(trips, tmp_path) == {
        "tips": "Column dropped",
        "tip": "New column",
        "company": "Unexpected string values",
        "dropoff_latitude": "Column dropped",
    }


def test_the_taxi_schema_allows_new_companies_and_gaps_in_features(trips, tmp_path):
    trips.loc[:5, "company"] = "A company that is new"
    trips.loc[6:50, ["company", "dropoff_latitude", "pickup_longitude"]] = ""
    assert taxi_anomalies(trips, tmp_path) == {}


def test_the_taxi_schema_demands_no_column_of_a_request():
    schema = tfdv.load_schema_text(str(TAXI_SCHEMA))
    assert len(schema.feature) == 18
    assert not any(feature.HasField("shape") for feature in schema.feature)
