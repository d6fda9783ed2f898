"""CsvExampleGen: bad files stop it, on good ones it does what TFX's own does."""

import functools
import gzip
import importlib
import random
from pathlib import Path

import apache_beam as beam
import numpy as np
import pandas as pd
import pytest
from tfx import v1 as tfx
from tfx.components.example_gen.csv_example_gen import executor as stock_executor
from tfx.orchestration import metadata
from tfx.v1.dsl.experimental import RuntimeParameter

from dag_runs import run
from example_gen_runs import OUTPUT, SPLITS, examples, generate, read_split
from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.config.splitting import Splitting
from pcgrad_tfx.data.csv_checks import check_csv
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.example_gen.csv_example_gen import CsvExampleGen, Executor

pytestmark = pytest.mark.long

HEADER = "id,fare,name\n"
ALL = tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern="*.csv")])
PARQUET = tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern="*.parquet")])
ROWS = "".join(f"{i},{i / 2},Ann\n" for i in range(300))


def example_gen(folder: Path | RuntimeParameter, **options) -> CsvExampleGen:
    options = {"required": ["name"], "numeric": ["id", "fare"], "output_config": OUTPUT} | options
    return CsvExampleGen(str(folder) if isinstance(folder, Path) else folder, **options)


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_it_generates_what_tfx_generates(data, tmp_path):
    odd_rows = '7,,"Ann, the ""second"""\n\n8,1e3,"two\nlines"\r\n9,2,\n10, 4 ,Ånn\n'
    (data / "data.csv").write_text(HEADER + ROWS + odd_rows, newline="")
    component = example_gen(data)
    ours = generate(Executor, component, tmp_path / "ours")
    stock = generate(stock_executor.Executor, component, tmp_path / "stock")
    for split in SPLITS:
        assert read_split(ours, split) == read_split(stock, split) != []
    rows = check_csv(str(data), "*.csv", required=["name"], numeric=["id", "fare"]).rows
    assert rows == sum(len(read_split(ours, split)) for split in SPLITS) == 304


def test_sorted_rows_are_shuffled_in_the_same_way_each_time(data, tmp_path, monkeypatch):
    # What Beam's Reshuffle draws its keys by; from 2^32 of them one is rarely drawn twice.
    monkeypatch.setattr(random, "randrange", lambda *_: random.getrandbits(12))
    (data / "data.csv").write_text(
        HEADER + "".join(f"{i},{i // 3000},Ann\n" for i in range(30_000))
    )
    orders = []
    for name in ("one", "another"):
        folder = generate(Executor, example_gen(data), tmp_path / name)
        rows = examples(folder, "train")
        orders.append([row.features.feature["id"].int64_list.value[0] for row in rows])
    assert orders[0] == orders[1]
    tenths = [sum(part) / len(part) / 30_000 for part in np.array_split(orders[0], 10)]
    assert np.abs(np.array(tenths) - 0.5).max() < 0.05


def test_equal_rows_are_not_left_together(data, tmp_path):
    (data / "data.csv").write_text(HEADER + "1,0.5,Ann\n" * 15_000 + "2,0.5,Bob\n" * 15_000)
    component = example_gen(data, output_config=tfx.proto.Output(), input_config=ALL)
    rows = examples(generate(Executor, component, tmp_path / "out"), "all")
    ids = [row.features.feature["id"].int64_list.value[0] for row in rows]
    assert len(ids) == 30_000
    for part in np.array_split(ids, 10):
        assert 1.4 < part.mean() < 1.6


def test_a_compressed_file_gives_the_same_examples(data, tmp_path):
    (data / "data.csv").write_text(HEADER + ROWS)
    plain = generate(Executor, example_gen(data), tmp_path / "plain")
    (data / "data.csv").unlink()
    (data / "data.csv.gz").write_bytes(gzip.compress((HEADER + ROWS).encode()))
    packed = generate(Executor, example_gen(data), tmp_path / "packed")
    for split in SPLITS:
        assert read_split(packed, split) == read_split(plain, split) != []


def test_texts_for_missing_values_leave_numbers_numbers(data, tmp_path):
    gaps = "NA,1.5,Ann\n8,NA,NA\n"
    (data / "data.csv").write_text(HEADER + ROWS + gaps)
    named = generate(Executor, example_gen(data, missing=["NA"]), tmp_path / "named")
    (data / "data.csv").write_text(HEADER + ROWS + gaps.replace("NA", ""))
    empty = generate(Executor, example_gen(data), tmp_path / "empty")
    for split in SPLITS:
        assert read_split(named, split) == read_split(empty, split) != []


def test_a_dialect_gives_the_examples_of_a_plain_file(data, tmp_path):
    (data / "data.csv").write_text(HEADER + ROWS + "1234,1234.5,Ånn\n")
    plain = generate(Executor, example_gen(data), tmp_path / "plain")
    (data / "data.csv").unlink()
    written = (HEADER + ROWS).replace(",", ";").replace(".", ",") + HEADER.replace(",", ";")
    content = "\r\n".join([*written.splitlines(), "1.234;€ 1.234,5; Ånn "])
    (data / "data.csv.gz").write_bytes(gzip.compress(content.encode("cp1252")))
    dialect = Dialect(separator=";", encoding="cp1252", decimal=",", thousands=".", units=("€",))
    other = generate(Executor, example_gen(data, dialect=dialect), tmp_path / "other")
    for split in SPLITS:
        assert read_split(other, split) == read_split(plain, split) != []


def test_parquet_keeps_its_types(data, tmp_path):
    names = pd.Series([f"{i:03}" for i in range(300)])
    frame = pd.DataFrame({"id": range(300), "fare": [i / 2 for i in range(300)], "name": names})
    frame.to_parquet(data / "data.parquet")
    component = example_gen(data, input_config=PARQUET, output_config=tfx.proto.Output())
    rows = examples(generate(Executor, component, tmp_path / "out"), "all")
    found = sorted(
        (
            row.features.feature["id"].int64_list.value[0],
            row.features.feature["fare"].float_list.value[0],
            row.features.feature["name"].bytes_list.value[0].decode(),
        )
        for row in rows
    )
    assert found == [*frame.itertuples(index=False, name=None)]


def test_the_rows_of_a_query(data, tmp_path):
    """On every engine the same; another statement or file gives another cache key."""
    (data / "data.csv").write_text(HEADER + ROWS)
    sql = "SELECT id, fare / 2 AS fare, upper(name) AS name FROM 'data.csv' WHERE id < 200"
    component = example_gen(
        data,
        dialect=Dialect(sql=sql),
        input_config=tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern="*")]),
    )
    assert sql in component.exec_properties["custom_config"]
    streamed = generate(Executor, component, tmp_path / "streamed")
    by_beam = generate(BeamExecutor, component, tmp_path / "beam")
    found = [row for split in SPLITS for row in examples(streamed, split)]
    fares = {row.features.feature["id"].int64_list.value[0]:
             row.features.feature["fare"].float_list.value[0] for row in found}  # fmt: skip
    assert fares == {i: i / 4 for i in range(200)}
    assert found[0].features.feature["name"].bytes_list.value == [b"ANN"]
    for split in SPLITS:
        assert read_split(streamed, split) == read_split(by_beam, split)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        (HEADER, "without data rows"),
        (HEADER.replace("fare", "fair") + ROWS, "no column 'fare' (did you mean 'fair'?)"),
        ((HEADER + ROWS).replace(",", ";"), "separated by ';'"),
        (HEADER + ROWS + "1,abc,Ann\n", ":302: column 'fare': 'abc' is not a number"),
        (HEADER + ROWS + "1,nan,Ann\n", ":302: column 'fare': 'nan' is not a finite"),
        (HEADER + ROWS + "1,2\n", ":302: a row of length 2"),
        (HEADER + "1,2,Ann\n" * 5, "too few data rows (5)"),
        ("\0" + HEADER + ROWS, ":1: holds a NUL byte"),
    ],
)
def test_a_bad_file_stops_the_executor_before_it_writes(data, tmp_path, content, said):
    (data / "data.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        generate(Executor, example_gen(data), tmp_path / "examples")
    assert str(data) in str(caught.value)
    assert said in str(caught.value)
    assert not (tmp_path / "examples").exists()


def test_an_empty_folder_stops_the_executor(data, tmp_path):
    with pytest.raises(DataError, match=r"no file '\*' in this folder"):
        generate(Executor, example_gen(data), tmp_path / "examples")


def test_splits_of_the_users_own_are_checked_one_by_one(data, tmp_path):
    (data / "train.csv").write_text(HEADER + ROWS)
    (data / "eval.csv").write_text(HEADER + "1,2,Ann\n")
    own_splits = tfx.proto.Input(
        splits=[
            tfx.proto.Input.Split(name=name, pattern=f"{name}.csv") for name in ("train", "eval")
        ]
    )
    component = example_gen(data, input_config=own_splits, output_config=None)
    folder = generate(Executor, component, tmp_path / "examples")
    assert len(read_split(folder, "train")) == 300
    assert len(read_split(folder, "eval")) == 1

    (data / "eval.csv").write_text(HEADER + "1,two,Ann\n")
    with pytest.raises(DataError, match=r"eval\.csv:2: column 'fare': 'two'"):
        generate(Executor, component, tmp_path / "again")


def test_the_type_of_a_column_is_that_of_all_splits(data, tmp_path):
    """Whole numbers in one split and decimal ones in another would not fit together."""
    (data / "train.csv").write_text("id,fare,name\n1,2,7\n")
    (data / "eval.csv").write_text("name,fare,id\nAnn,2.5,2\n")
    splits = [tfx.proto.Input.Split(name=name, pattern=f"{name}.csv") for name in ("train", "eval")]
    component = example_gen(
        data, input_config=tfx.proto.Input(splits=splits), output_config=None, min_rows=1
    )
    folder = generate(Executor, component, tmp_path / "examples")
    kinds = {
        name: {
            column: feature.WhichOneof("kind")
            for column, feature in examples(folder, name)[0].features.feature.items()
        }
        for name in ("train", "eval")
    }
    assert kinds["train"] == kinds["eval"]
    assert kinds["train"] == {"id": "int64_list", "fare": "float_list", "name": "bytes_list"}


def test_an_underscore_makes_a_text(data, tmp_path):
    rows = "".join(f"{i},{i},1_00{i % 3}\n" for i in range(120))
    (data / "data.csv").write_text(HEADER + rows)
    folder = generate(Executor, example_gen(data), tmp_path / "examples")
    names = {e.features.feature["name"].bytes_list.value[0] for e in examples(folder, "train")}
    assert names == {b"1_000", b"1_001", b"1_002"}


def test_fewer_rows_can_be_allowed(data, tmp_path):
    (data / "data.csv").write_text(HEADER + "1,2,Ann\n" * 5)
    generate(Executor, example_gen(data, min_rows=5), tmp_path / "examples")
    assert (tmp_path / "examples").exists()


def test_it_takes_the_place_of_tfxs_own_in_the_pipeline(data):
    stock = tfx.components.CsvExampleGen(input_base=str(data))
    ours = example_gen(data)
    assert ours.id == stock.id == "CsvExampleGen"
    assert ours.driver_class is stock.driver_class
    assert ours.outputs["examples"].type is stock.outputs["examples"].type


def test_the_order_of_the_columns_is_no_part_of_the_cache_key(data):
    one = example_gen(data, numeric=["id", "fare"])
    other = example_gen(data, numeric=["fare", "id"])
    assert one.exec_properties == other.exec_properties
    assert one.exec_properties != example_gen(data, numeric=["id"]).exec_properties


def test_the_executor_can_be_imported_by_its_path_as_kubeflow_does(data):
    module, name = example_gen(data).executor_spec.class_path.rsplit(".", 1)
    assert getattr(importlib.import_module(module), name) is Executor


def test_an_unchanged_second_run_comes_from_the_cache_and_a_changed_file_does_not(data, tmp_path):
    (data / "data.csv").write_text(HEADER + ROWS)
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(
        str(tmp_path / "metadata.sqlite")
    )

    def run() -> list[str]:
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="examples",
                pipeline_root=str(tmp_path / "root"),
                components=[example_gen(data)],
                metadata_connection_config=connection,
                enable_cache=True,
            )
        )
        with metadata.Metadata(connection) as store:
            artifacts = store.store.get_artifacts_by_type("Examples")
        return [artifact.uri for artifact in artifacts]

    assert len(run()) == 1
    assert len(run()) == 1
    (data / "data.csv").write_text(HEADER + ROWS + "1,2,Ann\n")
    assert len(run()) == 2
    (data / "data.csv").write_text(HEADER + ROWS + "1,two,Ann\n")
    with pytest.raises(DataError, match=r"data\.csv:302: column 'fare': 'two' is not"):
        run()


def test_a_run_can_name_another_folder_which_is_checked_as_well(data, tmp_path):
    (data / "data.csv").write_text(HEADER + ROWS)
    data_root = RuntimeParameter("data_root", ptype=str, default="/nowhere")
    (examples,) = run(tmp_path, example_gen(data_root), data_root=str(data))("Examples")
    assert len(read_split(Path(examples.uri), "train")) > 200
    (data / "data.csv").write_text(HEADER + ROWS + "1,two,Ann\n")
    with pytest.raises(DataError, match=r"data\.csv:302: column 'fare': 'two' is not"):
        run(tmp_path, example_gen(data_root), data_root=str(data))


class Losing(beam.PTransform):
    """Reads all rows but the first."""

    def __init__(self, read, *args):
        super().__init__()
        self._read = read(*args)

    def expand(self, pipeline):
        kept = beam.Filter(lambda example: example.features.feature["id"].int64_list.value[0] > 0)
        return pipeline | self._read | kept


class BeamExecutor(Executor):
    """One that was given an engine of Beam's."""

    def __init__(self):
        super().__init__()
        self._beam_pipeline_args = ["--runner=DirectRunner"]


class LosingExecutor(BeamExecutor):
    def GetInputSourceToExamplePTransform(self):  # noqa: N802, TFX's own name
        return functools.partial(Losing, super().GetInputSourceToExamplePTransform())


def test_an_engine_of_beam_writes_the_same_rows(data, tmp_path):
    (data / "data.csv").write_text(HEADER + ROWS)
    splitting = Splitting(splits={"train": 3, "eval": 2, "test": 2})
    component = example_gen(data, splitting=splitting)
    streamed = generate(Executor, component, tmp_path / "streamed")
    by_beam = generate(BeamExecutor, component, tmp_path / "beam")
    for split in SPLITS:
        assert read_split(streamed, split) == read_split(by_beam, split) != []


def test_rows_that_a_runner_loses_stop_the_pipeline(data, tmp_path):
    """As Beam's DaskRunner does."""
    (data / "data.csv").write_text(HEADER + ROWS)
    message = "^the input has 300 rows, but 299 examples were written: the Beam runner loses"
    with pytest.raises(DataError, match=message):
        generate(LosingExecutor, example_gen(data), tmp_path / "examples")
