"""Parquet, JSON lines and Arrow: rows of texts with the types of the file."""

import gzip
import json
import pathlib

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.data.files import check_data, find_data
from pcgrad_tfx.data.reading.database import connect
from pcgrad_tfx.data.reading.tables import open_table
from pcgrad_tfx.data.reading.typed_files import TypedFile
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.errors import DataError

FRAME = pd.DataFrame(
    {
        "id": range(120),
        "fare": [i / 7 for i in range(120)],
        "zip": [f"{i % 9:05}" for i in range(120)],
        "paid": [i % 3 == 0 for i in range(120)],
        'odd "name"': ["Ann"] * 119 + [None],
    }
)
FRAME.loc[5, "fare"] = float("nan")
TEXTS = {"zip", 'odd "name"'}


def write(tmp_path, name, frame=FRAME):
    path = tmp_path / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif name.endswith((".arrow", ".feather")):
        frame.to_feather(path)
    else:
        lines = frame.to_json(orient="records", lines=True).encode()
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    return str(path)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.ndjson.gz", "a.arrow", "a.feather"])
def test_rows_are_texts_with_the_types_of_the_file(tmp_path, name):
    path = write(tmp_path, name)
    sample = RowSample(exact=["zip"])
    summary = check_data(
        find_data(path), required={"zip"}, numeric={"id", "fare", "paid"}, sample=sample
    )
    assert (summary.columns, summary.rows) == (tuple(FRAME), 120)
    assert summary.text_columns == TEXTS
    frame = sample.frame()
    assert frame["paid"].tolist() == [str(int(paid)) for paid in FRAME["paid"]]
    assert frame["zip"].tolist() == FRAME["zip"].tolist()
    fares = pd.to_numeric(frame["fare"], errors="coerce")
    assert fares.tolist() == pytest.approx(FRAME["fare"].tolist(), nan_ok=True)
    assert frame['odd "name"'].tolist()[-2:] == ["Ann", ""]


def test_texts_that_stand_for_a_missing_value(tmp_path):
    path = write(tmp_path, "a.parquet", pd.DataFrame({"x": ["a", " NA ", "b "]}))
    assert [cells for _, cells in TypedFile(path, ["NA"]).rows()] == [["a"], [""], ["b "]]


def test_a_number_that_is_none_is_missing(tmp_path):
    path = str(tmp_path / "a.parquet")
    # pandas would write a null.
    pq.write_table(pa.table({"x": pa.array([1.5, float("nan"), None])}), path)
    assert [cells for _, cells in TypedFile(path).rows()] == [["1.5"], [""], [""]]


def test_json_lines_may_have_other_keys_and_types(tmp_path):
    rows = [{"a": 1, "b": "x"}, {"a": 2.5, "c": None}, {"b": {"d": 1}, "a": None}]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    table = TypedFile(str(path))
    assert table.columns == ["a", "b", "c"]
    assert [cells for _, cells in table.rows()] == [["1.0", "x", ""], ["2.5", "", ""],
                                                    ["", '{"d":1}', ""]]  # fmt: skip
    assert table.text_columns == frozenset()


@pytest.mark.parametrize(
    ("numeric", "options", "message"),
    [
        (
            {"zip"},
            {},
            r"row 1: column 'zip': '00000' is no truth value \(yes, no, True …\), but the column",
        ),
        ({"fair"}, {}, r"a\.parquet: row 1: no column 'fair' \(did you mean 'fare'\?\)"),
        ({"fare"}, {"dialect": Dialect(separator=";")}, "`separator` is for CSV files; remove it"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, numeric, options, message):
    path = write(tmp_path, "a.parquet")
    with pytest.raises(DataError, match=message) as caught:
        check_data(find_data(path), required=set(), numeric=numeric, **options)
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"no Parquet"),
        ("a.parquet", b""),
        ("a.jsonl", b'{"a": 1}\n{"a": '),
        ("a.arrow", b"no Arrow"),
        ("a.feather", b""),
    ],
)
def test_a_damaged_file_is_told_in_a_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read \(.+\); copy it again") as caught:
        list(TypedFile(str(tmp_path / name)).rows())
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sql", [None, "SELECT * FROM 'a.jsonl.gz'"])
def test_a_packed_file_cut_at_any_byte_is_told(tmp_path, sql):
    """DuckDB reads some of them as shorter files."""
    path = tmp_path / "a.jsonl.gz"
    content = gzip.compress(b"".join(b'{"a": %d}\n' % (i**9 % 977) for i in range(40)))
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"a\.jsonl\.gz: no whole gzip file \(.+\); copy it"):
            list(open_table(str(path), Dialect(sql=sql)).rows())
    path.write_bytes(content)
    assert len(list(open_table(str(path), Dialect(sql=sql)).rows())) == 40


ESCAPES = [
    "SELECT * FROM read_csv('{other}')",
    "SELECT * FROM read_text('{other}')",
    "SELECT * FROM '{other}'",
    "SELECT * FROM glob('{folder}/*')",
    "COPY (SELECT 1) TO '{folder}/written.csv'",
    "COPY (SELECT 1) TO '{given}'",
    "EXPORT DATABASE '{folder}/written'",
    "ATTACH '{folder}/written.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_csv('https://example.com/a.csv')",
    "SET enable_external_access = true",
    "SET allowed_paths = ['{other}']",
    "SET autoinstall_known_extensions = true",
    "RESET lock_configuration",
]


@pytest.mark.parametrize("statement", ESCAPES)
def test_the_database_reads_its_file_and_reaches_nothing_else(tmp_path, statement):
    given, other = tmp_path / "given.csv", tmp_path / "other.csv"
    given.write_text("x\n1\n")
    other.write_text("x\n2\n")
    with connect(str(given)) as connection:
        with pytest.raises(duckdb.Error):
            connection.execute(statement.format(given=given, other=other, folder=tmp_path))
        read = connection.execute("SELECT * FROM read_csv(?)", [str(given)]).fetchall()
    assert read == [(1,)]
    assert {*map(pathlib.Path, tmp_path.iterdir())} == {given, other}
