"""Rows of a query over a SQLite database: its values, as those of a DuckDB database are."""

import contextlib
import math
import sqlite3

import pytest

from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.data.reading.tables import open_table
from pcgrad_tfx.errors import DataError

ROWS = 25_000


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "the shop's #1%20.db"
    orders = [
        (i, f"0{i % 3}", None if i == 7 else i / 4, f"2026-01-{1 + i % 28:02}") for i in range(ROWS)
    ]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE Orders (id INTEGER, zone, amount REAL, day DATE)")
        connection.executemany("INSERT INTO Orders VALUES (?, ?, ?, ?)", orders)
        connection.execute('CREATE TABLE "the ""zones""" (zone TEXT, "full name" TEXT)')
        connection.execute("""INSERT INTO "the ""zones\""" VALUES ('00', 'Aix'), ('01', 'Bé')""")
        connection.execute("CREATE VIEW large AS SELECT * FROM orders WHERE amount > 6000")
        # Not every build of SQLite has it, nor can read a table of it then.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("CREATE VIRTUAL TABLE notes USING fts4(body)")
    return path


def table(path, sql):
    return open_table(str(path), Dialect(sql=sql))


def read(path, sql):
    return [cells for _, cells in table(path, sql).rows()]


def test_values_and_types(shop):
    found = table(shop, "FROM orders")
    assert found.columns == ["id", "zone", "amount", "day"]
    assert found.text_columns == {"zone", "day"}
    rows = [cells for _, cells in found.rows()]
    assert len(rows) == ROWS
    assert rows[7] == ["7", "01", "", "2026-01-08"]
    assert rows[ROWS - 1] == ["24999", "00", "6249.75", "2026-01-24"]


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([1, 2**53 + 1, None], ["1", "9007199254740993", ""]),
        ([1, 2.5], ["1.0", "2.5"]),
        ([1, "1.50"], ["1", "1.50"]),
        ([0.1, math.inf], ["0.1", "inf"]),
        (["", "é"], ["", "é"]),
        ([None, None], ["", ""]),
        ([b"\x00a"], ["\\x00a"]),
    ],
)
def test_the_values_make_the_type(tmp_path, values, cells):
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute("CREATE TABLE batch (x)")
        connection.executemany("INSERT INTO batch VALUES (?)", [(value,) for value in values])
    assert read(tmp_path / "x.db", "FROM batch") == [[cell] for cell in cells]


def test_a_query_is_in_duckdbs_words(shop):
    """Also over several tables, of any name, and a view."""
    sql = """
        WITH zones AS (SELECT zone, "full name" AS name FROM "the ""zones\""")
        SELECT name, max(day::DATE) AS last_day, count(*) AS orders
        FROM main.LARGE JOIN zones USING (zone) GROUP BY ALL ORDER BY ALL
    """
    assert read(shop, sql) == [["Aix", "2026-01-28", "333"], ["Bé", "2026-01-28", "333"]]


def test_it_is_not_changed_and_reads_no_files(shop, tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    read(shop, "SELECT id FROM orders LIMIT 1")
    for sql in (f"FROM '{tmp_path}/a.csv'", "DELETE FROM orders", "FROM nothing"):
        with pytest.raises(DataError, match=r"#1%20\.db: `sql`: "):
            read(shop, sql)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_file_is_made_beside_it_meanwhile(shop):
    """Which SQLite does for a database of this kind, and which a folder of others refuses."""
    with contextlib.closing(sqlite3.connect(shop)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert not shop.with_name(f"{shop.name}-wal").exists()
    before = shop.parent.stat().st_mtime_ns
    assert read(shop, "SELECT id FROM orders LIMIT 1") == [["0"]]
    assert shop.parent.stat().st_mtime_ns == before


def test_what_another_program_has_just_written_is_read(shop):
    with contextlib.closing(sqlite3.connect(shop)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            connection.execute("DELETE FROM orders WHERE id > 0")
        assert shop.with_name(f"{shop.name}-wal").exists()
        assert read(shop, "SELECT id FROM orders") == [["0"]]


def test_a_damaged_database_is_told_in_a_line(shop):
    shop.write_bytes(shop.read_bytes()[:6000])
    told = r"#1%20\.db: this SQLite database cannot be read \(.*\); close what uses it, or copy"
    with pytest.raises(DataError, match=told):
        read(shop, "FROM orders")
