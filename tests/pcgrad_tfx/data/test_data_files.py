"""A path stands for files of one format, split or to be split."""

import gzip
import re

import pytest
import tensorflow as tf

from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.data.files import DataFiles, check_data, find_data
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.errors import DataError

CSV = "id,fare\n" + "".join(f"{i},{i / 2}\n" for i in range(120))


def write(folder, *names, text=CSV):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("names", "path", "pattern", "format_"),
    [
        (["a.csv"], "a.csv", "a.csv", "csv"),
        (["a.csv.gz"], "a.csv.gz", "a.csv.gz", "csv"),
        (["a.csv", "b.csv", "notes.txt"], "", "*.csv", "csv"),
        (["a.csv.gz", "b.csv.gz"], "", "*.csv.gz", "csv"),
        (["a.tsv", "b.tsv", "notes.txt"], "", "*.tsv", "csv"),
        (["a.csv.zst"], "", "*.csv.zst", "csv"),
        (["iris.data"], "iris.data", "iris.data", "csv"),
        (["table"], "table", "table", "csv"),
        (["a.parquet", "b.parquet"], "", "*.parquet", "typed"),
        (["a.jsonl.gz"], "a.jsonl.gz", "a.jsonl.gz", "typed"),
        (["a.tfrecord"], "a.tfrecord", "a.tfrecord", "tfrecord"),
        (["data_tfrecord-00000-of-00002.gz"], "", "*tfrecord*", "tfrecord"),
        ([], "", "*.csv", "csv"),
        (["test/a.csv", "a.csv"], "", "*.csv", "csv"),
    ],
)
def test_files_to_be_split(tmp_path, names, path, pattern, format_):
    write(tmp_path, *names)
    location = tmp_path / path if path else tmp_path
    found = find_data(str(location))
    assert found == DataFiles(str(tmp_path), {"all": pattern}, format_)
    assert found.splits is None


@pytest.mark.parametrize("evaluation", ["eval", "valid", "validation"])
@pytest.mark.parametrize(("ending", "format_"), [(".csv", "csv"), (".tfrecord", "tfrecord")])
def test_splits_of_the_users_own(tmp_path, evaluation, ending, format_):
    write(tmp_path, f"train/a{ending}", f"{evaluation}/a{ending}", f"test/a{ending}")
    found = find_data(str(tmp_path))
    pattern = {"csv": "*.csv", "tfrecord": "*tfrecord*"}[format_]
    assert found.format == format_
    assert found.splits == {
        "train": f"train/{pattern}",
        "eval": f"{evaluation}/{pattern}",
        "test": f"test/{pattern}",
    }


@pytest.mark.parametrize(
    ("names", "path", "message"),
    [
        (["train/a.csv", "test/a.csv"], "", "no folder eval; add it"),
        (["train/a.csv", "eval/a.csv"], "", "no folder test; add it"),
        (["a.csv", "b.csv.gz"], "", r"both \*\.csv and \*\.csv\.gz files"),
        (["a.csv", "b.tfrecord"], "", r"both \*\.csv and \*tfrecord\* files"),
        (["train/a.csv", "eval/a.tfrecord", "test/a.csv"], "", "of different formats"),
        (["a.csv.zip"], "a.csv.zip", "an archive; unpack it"),
        (["a.tar.gz"], "a.tar.gz", "an archive; unpack it"),
        (["a.json"], "a.json", r"SELECT \* FROM read_json\('a.json'\)"),
        (["shop.DB"], "shop.DB", r"a database; .* `sql` = 'SELECT \* FROM trips' \(--sql"),
        (["A.XLSX"], "A.XLSX", "save the table as CSV or Parquet"),
    ],
)
def test_what_cannot_be_used(tmp_path, names, path, message):
    write(tmp_path, *names)
    location = tmp_path / path if path else tmp_path
    with pytest.raises(DataError, match=message) as error:
        find_data(str(location))
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def test_all_splits_are_checked_and_sampled(tmp_path):
    write(tmp_path, "train/a.csv", "eval/a.csv", "test/a.csv.gz", text="id,fare\n1,2\n3,\n")
    sample = RowSample(exact=["id"])
    summary = check_data(find_data(str(tmp_path)), required={"fare"}, numeric={"id"}, sample=sample)
    assert summary.columns == ("id", "fare")
    assert sample.rows == 6
    assert sample.values == {"id": {"1", "3"}}
    write(tmp_path, "test/a.csv.gz", text="id,fare\none,2\n")
    with pytest.raises(DataError, match=r"test/a\.csv\.gz:2: column 'id': 'one' is not a number"):
        check_data(find_data(str(tmp_path)), required={"fare"}, numeric={"id"})


def test_splits_have_the_same_columns(tmp_path):
    write(tmp_path, "train/a.csv", "eval/a.csv", text="id,fare\n1,2\n")
    write(tmp_path, "test/a.csv", text="id,fare,tip\n1,2,3\n")
    with pytest.raises(DataError, match=r"test/a\.csv: column 'tip' is not in all splits"):
        check_data(find_data(str(tmp_path)), required={"fare"}, numeric=set())


def write_examples(path, rows, options=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for row in rows:
            example = tf.train.Example()
            for name, values in row.items():
                feature = example.features.feature[name]
                for value in values:
                    if isinstance(value, bytes):
                        feature.bytes_list.value.append(value)
                    elif isinstance(value, int):
                        feature.int64_list.value.append(value)
                    else:
                        feature.float_list.value.append(value)
            writer.write(example.SerializeToString(deterministic=True))


GOOD = [{"id": [i], "fare": [i / 2], "name": [b"Ann"]} for i in range(120)]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_examples(tmp_path, ending):
    rows = [*GOOD, {"id": [7], "name": []}, {"id": [8], "fare": [float("nan")]}]
    write_examples(tmp_path / f"a.tfrecord{ending}", rows, "GZIP" if ending else None)
    sample = RowSample(exact=["name"])
    summary = check_data(
        find_data(str(tmp_path)), required={"name"}, numeric={"id", "fare"}, sample=sample
    )
    assert (summary.columns, summary.rows) == (("fare", "id", "name"), 122)
    frame = sample.frame()
    assert frame["fare"].tolist()[:3] == ["0.0", "0.5", "1.0"]
    assert frame["fare"].tolist()[-2:] == ["", ""]
    assert frame["name"].tolist()[-3:] == ["Ann", "", ""]
    assert sample.values == {"name": {"Ann"}}
    assert summary.text_columns == {"name"}


def test_a_text_column_is_one_however_late_its_first_text_comes(tmp_path):
    rows = [{"id": [1], "code": []}] * 1500
    for split in ("train", "eval", "test"):
        late = [{"id": [1], "code": [b"01"]}] if split == "test" else []
        write_examples(tmp_path / split / "a.tfrecord", rows + late)
    summary = check_data(find_data(str(tmp_path)), required=set(), numeric=set())
    assert (summary.rows, summary.text_columns) == (1500, {"code"})
    write(tmp_path / "csv", "a.csv")
    found = find_data(str(tmp_path / "csv"))
    assert check_data(found, required=set(), numeric=set()).text_columns == set()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (GOOD[:5], r"too few data rows \(5\)"),
        ([], "no column 'fare', 'id', 'name'"),
        ([{"id": [1], "fair": [2.0], "name": [b"Ann"]}] * 100,
         r"no column 'fare' \(did you mean 'fair'\?\)"),
        ([*GOOD, {"id": [b"one"]}], r"record 121: column 'id': a text \(bytes_list\) is not a num"),
        ([*GOOD, {"id": [1, 2]}], "record 121: column 'id': 2 values in one row"),
        ([*GOOD, {"fare": [float("inf")]}], "record 121: column 'fare': 'inf' is not a finite"),
        ([row | {"fare": []} for row in GOOD], "column 'fare': empty in every row"),
    ],
)  # fmt: skip
def test_bad_examples(tmp_path, rows, message):
    write_examples(tmp_path / "a.tfrecord", rows)
    with pytest.raises(DataError, match=message) as error:
        check_data(find_data(str(tmp_path)), required={"name"}, numeric={"id", "fare"})
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".tfrecord", ".tfrecord.gz"])
@pytest.mark.parametrize("behind", [None, b"garbage", b"\0" * 512])
def test_damaged_examples_are_to_be_copied_again(tmp_path, ending, behind):
    path = tmp_path / f"a{ending}"
    write_examples(path, GOOD, "GZIP" if ending.endswith(".gz") else None)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if behind is None else whole + behind)
    found = rf"^{re.escape(str(path))}: cannot be read \([^{{]+\); copy it again, or write it anew"
    with pytest.raises(DataError, match=found):
        check_data(find_data(str(path)), required=set(), numeric=set())


def test_files_that_hold_no_examples(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_text(CSV)
    with pytest.raises(DataError, match=r"cannot be read .* its name must end in \.gz\)$"):
        check_data(find_data(str(path)), required=set(), numeric=set())
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff\xff")
    with pytest.raises(DataError, match=r"a\.tfrecord: record 1: no tf\.train\.Example"):
        check_data(find_data(str(path)), required=set(), numeric=set())


def test_texts_for_missing_values_are_for_csv(tmp_path):
    write_examples(tmp_path / "a.tfrecord", GOOD)
    with pytest.raises(DataError, match="`missing` is for CSV files"):
        check_data(find_data(str(tmp_path)), required=set(), numeric=set(), missing=("NA",))
    dialect = Dialect(separator=";")
    with pytest.raises(DataError, match="`separator` is for CSV files; remove it"):
        check_data(find_data(str(tmp_path)), required=set(), numeric=set(), dialect=dialect)


@pytest.mark.parametrize("path", ["https://example.com/a.parquet", "s4://trips/*.csv"])
def test_a_place_that_tensorflow_cannot_open_is_told_in_a_line(path):
    message = rf"^{re.escape(path)}: TensorFlow cannot open \w+:// here, only paths and .*gs://"
    with pytest.raises(DataError, match=message):
        find_data(path)
