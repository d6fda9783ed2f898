"""Splits by group, time and stratum, from every format of data."""

import collections
import random

import apache_beam as beam
import pandas as pd
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to
from tfx import v1 as tfx

from example_gen_runs import SPLITS, examples, generate
from pcgrad_tfx.config.splitting import Splitting
from pcgrad_tfx.data.csv_checks import check_csv
from pcgrad_tfx.data.tfrecord_checks import check_tfrecord
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.example_gen import checked_example_gen, csv_example_gen, import_example_gen
from pcgrad_tfx.example_gen.splitting import _HashBounds, split_by_stratum, split_by_time
from transform_runs import to_example

NUMBER_OF_ROWS = 600
PARQUET = tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern="*.parquet")])
PATTERNS = {"csv": "*.csv", "parquet": "*.parquet", "tfrecord": "*.tfrecord"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same rows in three formats."""
    folder = tmp_path_factory.mktemp("data")
    draw = random.Random(0)
    frame = pd.DataFrame(
        {
            "row": range(NUMBER_OF_ROWS),
            "patient": [draw.randrange(50) for _ in range(NUMBER_OF_ROWS)],
            "date": [
                f"2013-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
                for _ in range(NUMBER_OF_ROWS)
            ],
            "outcome": ["rare" if row % 100 == 0 else "often" for row in range(NUMBER_OF_ROWS)],
        }
    )
    frame.to_csv(folder / "a.csv", index=False)
    frame.to_parquet(folder / "a.parquet")
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
        for row in frame.to_dict("records"):
            writer.write(to_example({name: [value] for name, value in row.items()}))
    return folder


def split(folder, output, form, splitting):
    """By split, its rows as (row, patient, date, outcome)."""
    module = import_example_gen if form == "tfrecord" else csv_example_gen
    kind = module.ImportExampleGen if form == "tfrecord" else module.CsvExampleGen
    inputs = tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern=PATTERNS[form])])
    component = kind(str(folder), input_config=inputs, splitting=splitting)
    generate(module.Executor, component, output)
    return {name: [*map(values, examples(output, name))] for name in SPLITS}


def values(row):
    features = row.features.feature
    numbers = [features[name].int64_list.value[0] for name in ("row", "patient")]
    texts = [features[name].bytes_list.value[0].decode() for name in ("date", "outcome")]
    return (*numbers, *texts)


def column(found, place):
    return {name: [row[place] for row in rows] for name, rows in found.items()}


@pytest.mark.parametrize("form", PATTERNS)
def test_a_group_is_in_one_split(folder, tmp_path, form):
    splitting = Splitting(group="patient")
    found = split(folder, tmp_path / "out", form, splitting)
    patients = column(found, 1)
    places = collections.Counter(one for name in SPLITS for one in set(patients[name]))
    assert set(places.values()) == {1}
    assert len(places) == 50
    expected = check_csv(str(folder), "*.csv", splitting=splitting).splits
    assert {name: len(rows) for name, rows in found.items()} == expected.rows
    assert {name: len(set(one)) for name, one in patients.items()} == expected.groups


@pytest.mark.parametrize("form", PATTERNS)
def test_the_future_is_held_out_and_a_gap_is_in_no_split(folder, tmp_path, form):
    splitting = Splitting(time="date", gap=7)
    found = split(folder, tmp_path / "out", form, splitting)
    dates = {name: pd.to_datetime(one) for name, one in column(found, 2).items()}
    week = pd.Timedelta(days=7)
    assert dates["train"].max() + week < dates["eval"].min()
    assert dates["eval"].max() + week < dates["test"].min()
    expected = check_csv(str(folder), "*.csv", splitting=splitting).splits
    assert {name: len(rows) for name, rows in found.items()} == expected.rows
    assert 0 < expected.left_out == NUMBER_OF_ROWS - sum(expected.rows.values())


@pytest.mark.parametrize("splitting", [Splitting(group="patient"), Splitting(time="date", gap=7)])
def test_rows_are_split_alike_by_beam_and_without_it(folder, tmp_path, splitting):
    streamed, by_beam = (
        split(folder, tmp_path / form, form, splitting) for form in ("csv", "tfrecord")
    )
    assert {name: sorted(rows) for name, rows in streamed.items()} == {
        name: sorted(rows) for name, rows in by_beam.items()
    }


@pytest.mark.parametrize("form", ["csv", "tfrecord"])
def test_each_class_has_its_share(folder, tmp_path, form):
    found = split(folder, tmp_path / "out", form, Splitting(stratify="outcome"))
    counts = {name: collections.Counter(one) for name, one in column(found, 3).items()}
    assert counts == {
        "train": {"rare": 4, "often": 475},
        "eval": {"rare": 1, "often": 60},
        "test": {"rare": 1, "often": 59},
    }
    rows = sorted(row for one in column(found, 0).values() for row in one)
    assert rows == list(range(NUMBER_OF_ROWS))


def test_equal_rows_of_a_class_stay_together_and_leave_none_to_train_without_it(tmp_path):
    (tmp_path / "data").mkdir()
    rows = ["0,1,2013-01-01,one"] * 50
    rows += [f"{i % 10},1,2013-01-01,many" for i in range(500)]
    (tmp_path / "data" / "a.csv").write_text("\n".join(["row,patient,date,outcome", *rows]))
    found = split(tmp_path / "data", tmp_path / "out", "csv", Splitting(stratify="outcome"))
    assert {name: collections.Counter(one) for name, one in column(found, 3).items()} == {
        "train": {"one": 50, "many": 400},
        "eval": {"many": 50},
        "test": {"many": 50},
    }
    many = {name: {row[0] for row in one if row[3] == "many"} for name, one in found.items()}
    assert len(set().union(*many.values())) == sum(map(len, many.values())) == 10


@pytest.mark.parametrize("parts", [[100], [30, 70], [0, 1, 99], [25, 25, 25, 25], [1] * 100])
def test_the_bounds_of_a_stratum_are_those_of_all_its_workers(parts):
    """Beam in one process never merges what several workers have found."""
    draw = random.Random(0)
    hashes = [draw.randrange(2**64) for _ in range(100)]
    combine = _HashBounds((8, 1, 1))
    remaining, found = iter(hashes), []
    for size in parts:
        accumulator = combine.create_accumulator()
        for _ in range(size):
            accumulator = combine.add_input(accumulator, next(remaining))
        found.append(accumulator)
    merged = combine.merge_accumulators(found[:1])
    for accumulator in found[1:]:
        merged = combine.merge_accumulators([merged, accumulator])
    at_once = combine.merge_accumulators(iter(found))
    expected = sorted(hashes)[80], sorted(hashes)[90]
    assert combine.extract_output(merged) == combine.extract_output(at_once) == expected


def test_strata_are_told_apart_by_which_column_is_missing():
    """In TFRecords a missing value is left out."""
    rows = [to_example({"row": [i], "date" if i % 2 else "outcome": ["a"]}) for i in range(400)]
    with beam.Pipeline() as pipeline:
        read = pipeline | beam.Create(rows) | beam.Map(tf.train.Example.FromString)
        splitting = Splitting(stratify=["date", "outcome"])
        for name, found in split_by_stratum(read, splitting).items():
            dated = found | f"Dated[{name}]" >> beam.Map(lambda row: "date" in row.features.feature)
            counts = dated | f"Count[{name}]" >> beam.combiners.Count.PerElement()
            expected = {"train": 160, "eval": 20, "test": 20}[name]
            assert_that(counts, equal_to([(True, expected), (False, expected)]), name)


def test_texts_like_numbers_are_grouped_as_texts(tmp_path):
    (tmp_path / "data").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "data" / "a.tfrecord")) as writer:
        for row in range(300):
            writer.write(to_example({"patient": [str(row % 50)], "row": [row]}))
    splitting = Splitting(group="patient")
    component = import_example_gen.ImportExampleGen(str(tmp_path / "data"), splitting=splitting)
    generate(import_example_gen.Executor, component, tmp_path / "out")
    expected = check_tfrecord(str(tmp_path / "data"), "*", splitting=splitting).splits.rows
    assert {name: len(examples(tmp_path / "out", name)) for name in SPLITS} == expected


def test_texts_in_one_of_several_files_make_all_groups_texts(tmp_path):
    (tmp_path / "data").mkdir()
    for name, kind in (("a", int), ("b", str)):
        frame = pd.DataFrame({"patient": [kind(row % 50) for row in range(100)]})
        frame.to_parquet(tmp_path / "data" / f"{name}.parquet")
    splitting = Splitting(group="patient")
    component = csv_example_gen.CsvExampleGen(
        str(tmp_path / "data"), input_config=PARQUET, splitting=splitting
    )
    generate(csv_example_gen.Executor, component, tmp_path / "out")
    expected = check_csv(str(tmp_path / "data"), "*.parquet", splitting=splitting).splits.rows
    assert {name: len(examples(tmp_path / "out", name)) for name in SPLITS} == expected


def test_a_group_that_is_a_number_here_and_a_text_there_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "data" / "a.tfrecord")) as writer:
        for row in range(200):
            group = row // 2 % 50
            writer.write(to_example({"patient": [group if row % 2 else str(group)]}))
    with pytest.raises(DataError, match="record 2: column 'patient': held as int64_list"):
        split(tmp_path / "data", tmp_path / "out", "tfrecord", Splitting(group="patient"))


def test_a_runner_that_loses_rows_is_found_beside_a_gap(folder, tmp_path, monkeypatch):
    def lossy(rows, bounds):
        return split_by_time(rows | "Lose" >> beam.Filter(lambda row: values(row)[0] != 5), bounds)

    monkeypatch.setattr(checked_example_gen, "split_by_time", lossy)
    with pytest.raises(DataError, match="loses or repeats data"):
        split(folder, tmp_path / "out", "tfrecord", Splitting(time="date", gap=7))


@pytest.mark.parametrize("form", PATTERNS)
def test_a_column_to_split_by_that_is_not_there_is_named(folder, tmp_path, form):
    with pytest.raises(DataError, match=r"no column 'patent' \(did you mean 'patient'\?\)"):
        split(folder, tmp_path / "out", form, Splitting(group="patent"))


def test_a_missing_group_stops_the_executor_before_it_writes(folder, tmp_path):
    (tmp_path / "data").mkdir()
    text = (folder / "a.csv").read_text() + "600,,2013-01-01,often\n"
    (tmp_path / "data" / "a.csv").write_text(text)
    with pytest.raises(DataError, match=r"a\.csv:602: column 'patient' \(`group`\)"):
        split(tmp_path / "data", tmp_path / "out", "csv", Splitting(group="patient"))
    assert not (tmp_path / "out").exists()


def test_another_way_to_split_misses_the_cache(folder):
    def properties(splitting):
        return csv_example_gen.CsvExampleGen(str(folder), splitting=splitting).exec_properties

    ways = [
        Splitting(),
        Splitting(group="patient"),
        Splitting(time="date"),
        Splitting(time="date", gap=1),
        Splitting(stratify="outcome"),
        Splitting(stratify=["outcome", "patient"]),
        Splitting(splits={"train": 2, "eval": 1, "test": 1}),
    ]
    assert len({str(sorted(properties(way).items())) for way in ways}) == len(ways)
    assert properties(Splitting(time="date")) == properties(Splitting(time="date"))
