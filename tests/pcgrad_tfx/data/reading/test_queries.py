"""Rows of a SQL query: one SELECT that reads what it is given, and nothing else."""

import contextlib

import duckdb
import pandas as pd
import pytest
import tensorflow as tf
from pydantic import ValidationError

from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.data.csv_checks import csv_location
from pcgrad_tfx.data.files import check_data, find_data
from pcgrad_tfx.data.reading.tables import find_tables, open_table
from pcgrad_tfx.errors import DataError


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.csv").write_text("x;code\n1;01\n2;02\n;03\n")
    pd.DataFrame({"code": ["01", "02"], "city": ["Aix", None]}).to_parquet(data / "b.parquet")
    (tmp_path / "secret.csv").write_text("x\n9\n")
    return data


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop's.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE trips AS SELECT i AS x, i % 2 = 0 AS paid FROM range(150) t(i)"
        )
    return path


def table(path, sql, **options):
    dialect = Dialect(sql=sql)
    files = find_data(str(path), dialect)
    (place,) = find_tables(files.base, files.patterns["all"], dialect)
    return open_table(place, dialect, **options)


def read(path, sql, **options):
    return [cells for _, cells in table(path, sql, **options).rows()]


A = "read_csv('a.csv', delim = ';', types = {'code': 'VARCHAR'})"


def test_a_query_over_files(folder):
    sql = f"""
        -- Names are relative to the folder; one in a comparison is a text.
        SELECT x * 2 AS twice, code, city FROM {A} LEFT JOIN 'b.parquet' USING (code)
        WHERE code <> 'a.csv' ORDER BY code;
    """
    found = table(folder, sql)
    assert found.columns == ["twice", "code", "city"]
    assert found.text_columns == {"code", "city"}
    rows = [["2", "01", "Aix"], ["4", "02", ""], ["", "03", ""]]
    assert [cells for _, cells in found.rows()] == rows
    assert read(folder, sql, missing=["Aix"])[0] == ["2", "01", ""]


@pytest.mark.parametrize(
    ("path", "sql"),
    [
        ("a.csv", "SELECT count(*) FROM 'a.csv'"),
        ("*.csv", "SELECT count(*) FROM read_csv(['a.csv', 'a.csv']) LIMIT 1 OFFSET 0"),
        ("", 'WITH "all" AS (FROM read_csv(\'*.csv\')) SELECT count(*) FROM "all"'),
        ("", "FROM query('SELECT 3')"),
    ],
)
def test_files_may_be_named_in_many_ways(folder, path, sql):
    ((count,),) = read(folder / path, sql)
    assert int(count) in (3, 6)


def test_a_query_over_a_database(shop):
    (shop.parent / "trips").mkdir()  # no table
    summary = check_data(
        find_data(str(shop), dialect := Dialect(sql="SELECT x, paid FROM trips WHERE x > 9")),
        required=set(),
        numeric={"x", "paid"},
        dialect=dialect,
    )
    assert (summary.columns, summary.rows) == (("x", "paid"), 140)
    assert summary.text_columns == frozenset()


def test_columns_of_one_name_are_told_apart(shop):
    assert table(shop, "SELECT a.x, b.x FROM trips a JOIN trips b USING (x)").columns == [
        "x",
        "x_1",
    ]


def test_files_elsewhere_are_copied(folder):
    tf.io.gfile.copy(str(folder / "a.csv"), "ram://trips/a.csv", overwrite=True)
    assert read("ram://trips/a.csv", f"SELECT x FROM {A}") == [["1"], ["2"], [""]]


ESCAPES = {
    "SELECT * FROM '../secret.csv'": "may read only",
    "SELECT * FROM '{secret}'": "may read only",
    "SELECT * FROM read_text('/etc/passwd')": "may read only",
    "SELECT * FROM read_csv('file:///etc/passwd')": "may read only",
    "SELECT * FROM glob('/etc/*')": "may read only",
    "SELECT (SELECT content FROM read_text('/etc/passwd')) AS x FROM 'a.csv'": "may read only",
    "SELECT * FROM query('FROM read_text(''/etc/passwd'')')": "may read only",
    "SELECT * FROM sqlite_scan('{secret}', 'x')": "sqlite_scan",
    "SELECT * FROM read_csv('https://example.com/a.csv')": "may read only",
    "SELECT * FROM 's3://bucket/a.parquet'": "may read only",
    "SELECT * FROM duckdb_secrets()": "may read only",
    "SELECT * FROM sql": "correct the query",  # a variable of Python
    "SELECT * FROM query('FROM read_blob(''/proc/self/environ'')')": "may read only",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM ''/etc/passwd'''))": "correct the",
    "SELECT * FROM read_duckdb('{secret}', table_name = 't')": "may read only",
    "SELECT getenv('HOME')": "does not exist",
    "COPY (SELECT 1) TO 'written.csv'": "holds COPY; write one SELECT",
    "COPY (FROM 'a.csv') TO 'a.csv'": "holds COPY; write one SELECT",
    "EXPORT DATABASE 'written'": "holds EXPORT; write one SELECT",
    "ATTACH 'written.db'": "holds ATTACH; write one SELECT",
    "INSTALL httpfs": "holds LOAD; write one SELECT",
    "LOAD httpfs": "holds LOAD; write one SELECT",
    "SET enable_external_access = true": "holds SET; write one SELECT",
    "PRAGMA enable_profiling": "write one SELECT",
    "CALL pragma_version()": "holds CALL; write one SELECT",
    "CREATE TABLE x AS SELECT 1": "holds CREATE; write one SELECT",
    "WITH x AS (DELETE FROM trips RETURNING *) FROM x": "`sql`: ",
    "SELECT 1; SELECT 2": "holds SELECT, SELECT; write one SELECT",
    "SELECT 1; COPY (SELECT 1) TO 'written.csv'": "holds SELECT, COPY; write one SELECT",
    "SELECT 1) TO 'written.csv' --": "correct the query",
    "-- nothing": "holds nothing; write one SELECT",
    "SELEC 1": 'syntax error at or near "SELEC"; correct the query',
    "SELECT y FROM 'a.csv'": "correct the query",
    "SELECT * FROM 'a.csv' WHERE x = ?": "correct the query",
    "SELECT * FROM 'c.csv'": "may read only what `path` names",
}


@pytest.mark.parametrize(
    "sql",
    [
        "FROM enable_logging(level = 'trace', storage = 'file', storage_path = '{folder}/log')",
        "FROM enable_logging(storage = 'file', storage_path = '{folder}/log'), range(9999)",
        "FROM enable_profiling(format = 'json', save_location = '{folder}/log')",
    ],
)
def test_a_query_that_asks_for_logs_writes_none(folder, sql):
    with contextlib.suppress(DataError):
        read(folder, sql.format(folder=folder))
    assert {path.name for path in folder.rglob("*")} == {"a.csv", "b.parquet"}


@pytest.mark.parametrize("sql", ESCAPES)
def test_a_query_reads_its_files_and_reaches_nothing_else(folder, tmp_path, sql):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(DataError) as caught:
        read(folder, sql.format(secret=tmp_path / "secret.csv"))
    message = str(caught.value)
    assert ESCAPES[sql] in message
    assert message.startswith(f"{folder}/*: `sql`: ")
    assert "\n" not in message
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_only_what_the_path_names_is_read(folder):
    for sql in ("FROM 'b.parquet'", "FROM read_csv('*.csv')", f"FROM '{folder}/b.parquet'"):
        with pytest.raises(DataError, match="a.csv: `sql`: .*may read only what `path` names"):
            read(folder / "a.csv", sql)


def test_a_database_is_not_changed_and_reads_no_files(shop, folder):
    before = shop.read_bytes()
    for sql in (f"FROM '{folder}/a.csv'", "INSERT INTO trips VALUES (1, true)", "FROM nothing"):
        with pytest.raises(DataError, match="shop's.duckdb: `sql`: "):
            read(shop, sql)
    assert shop.read_bytes() == before


def test_folders_in_the_folder_are_refused(folder):
    """Nobody would notice that a file in them has changed."""
    (folder / "old").mkdir()
    with pytest.raises(DataError, match="old: a folder, but a data file is needed"):
        read(folder, "FROM 'a.csv'")


def test_a_path_is_split_by_its_name():
    query = Dialect(sql="FROM trips")
    assert csv_location("gs://b/shop.duckdb", query) == ("gs://b", "shop.duckdb")
    assert csv_location("gs://b/trips", query) == ("gs://b/trips", "*")
    assert csv_location("gs://b/part*", query) == ("gs://b", "part*")


def test_the_query_says_how_files_are_written():
    with pytest.raises(
        ValidationError, match="`separator` is for CSV files without `sql`; say it in"
    ):
        Dialect(sql="FROM 'a.csv'", separator=";")


@pytest.mark.parametrize(
    "drawn",
    [
        "'b.parquet' USING SAMPLE bernoulli(50%) REPEATABLE (1)",
        "'b.parquet' WHERE random() < 0.5",
        "(SELECT uuid())",
    ],
)
def test_what_is_drawn_at_random_is_the_same_each_time(folder, drawn):
    pd.DataFrame({"x": range(10_000)}).to_parquet(folder / "b.parquet")
    found = table(folder / "*", f"SELECT * FROM {drawn}")
    assert list(found.rows()) == list(found.rows()) != []
