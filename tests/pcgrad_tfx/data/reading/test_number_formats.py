"""Numbers as people write them, and how it is found out how they do."""

import pandas as pd
import pytest

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.data.csv_checks import check_csv
from pcgrad_tfx.data.reading.number_formats import find_number_format, normalizer
from pcgrad_tfx.errors import DataError

AMERICAN = Dialect(thousands=",", units=("$", "%"))
GERMAN = Dialect(decimal=",", thousands=".", units=("€",))
ACCOUNTING = Dialect(thousands=",", units=("$",), accounting=True)
SHORT = Dialect(units=("€",), scales=("k", "M"))
FRENCH = Dialect(decimal=",", thousands=" ")


@pytest.mark.parametrize(
    ("dialect", "cell", "number"),
    [
        (AMERICAN, "$1,234.50", "1234.50"),
        (AMERICAN, "-$1,234,567", "-1234567"),
        (AMERICAN, "$-5", "-5"),
        (AMERICAN, "12 %", "12"),
        (AMERICAN, "$.5", "0.5"),
        (AMERICAN, "1.5e3", "1.5e3"),
        (AMERICAN, "007", "007"),
        (AMERICAN, "0,125", "0,125"),  # no thousands
        (AMERICAN, "12,34", "12,34"),
        (AMERICAN, "1,234 Main Street", "1,234 Main Street"),
        (AMERICAN, "$", "$"),
        (AMERICAN, "", ""),
        (AMERICAN, "2021-03-04", "2021-03-04"),
        (GERMAN, "1.234,50 €", "1234.50"),
        (GERMAN, "+0,5", "+0.5"),
        (GERMAN, "1.5", "1.5"),
        (FRENCH, "1 234\xa0567,8", "1234567.8"),
        (Dialect(thousands="'"), "1'234", "1234"),
        (ACCOUNTING, "(12)", "-12"),
        (ACCOUNTING, "($1,234.50)", "-1234.50"),
        (ACCOUNTING, "$(5)", "-5"),
        (ACCOUNTING, "12", "12"),
        (ACCOUNTING, "(12", "(12"),
        (ACCOUNTING, "12)", "12)"),
        (AMERICAN, "(12)", "(12)"),
        (SHORT, "1.5M", "1500000"),
        (SHORT, "€2k", "2000"),
        (SHORT, "0.25 k", "250"),
        (SHORT, "-1.2345k", "-1234.5"),
        (SHORT, "7", "7"),
        (SHORT, "2B", "2B"),
        (SHORT, "k", "k"),
    ],
)
def test_a_number_is_rewritten_and_another_text_is_not(dialect, cell, number):
    assert normalizer(dialect)(cell) == number


def test_plain_numbers_are_not_touched():
    assert normalizer(Dialect(separator=";", encoding="cp1252")) is None


FORMATS = {
    "plain": ({"x": ["1.5", "2.25", "NA"], "y": ["a", "b", "c"]}, PLAIN),
    "currency": ({"x": ["$87,517.67", "$5", "-"], "y": ["0.1", "0.2", "0.3"]},
                 Dialect(thousands=",", units=("$",))),
    "Swiss": ({"x": ["CHF 1'234.50", "CHF 7", "0.5"]}, Dialect(thousands="'", units=("CHF",))),
    "percent": ({"x": ["12%", "7%", ""], "y": ["1", "2", "3"]}, Dialect(units=("%",))),
    "thousands": ({"x": ["173,000", "95", "1,200,000"], "y": ["a", "b", "c"]},
                  Dialect(thousands=",")),
    "decimal comma": ({"x": ["1,5", "0,125", "22,75"]}, Dialect(decimal=",")),
    "German": ({"x": ["1.234,50", "0,5", "7"], "y": ["1,5", "2,5", "3,5"]},
               Dialect(decimal=",", thousands=".")),
    "French": ({"x": ["1 234,50", "0,5", "7"]}, Dialect(decimal=",", thousands=" ")),
    "negative in parentheses": ({"x": ["(1,200)", "3,400", "(5)"]},
                                Dialect(thousands=",", accounting=True)),
    "scales": ({"x": [*(f"€{i}.5M" for i in range(9)), "€800K"]},
               Dialect(units=("€",), scales=("K", "M"))),
    "few codes": ({"x": ["1B", "2B", "3B"]}, PLAIN),
    "scales beside a text": ({"x": [f"{i}M" for i in range(20)], "y": ["3M", "Ikea"] * 10},
                             PLAIN),
    "lists of numbers": ({"x": ["1,2,3", "4,5", "6"] * 3}, PLAIN),
    "points win": ({"x": ["1,5", "2,5"], "y": ["1.123", "2.5"], "z": ["1.5", "2.5"]}, PLAIN),
    "dates": ({"x": ["04.03.2021", "05.03.2021"]}, PLAIN),
    "sizes": ({"x": ["5 kg", "7 kg"]}, PLAIN),
    "one mistake in many": ({"x": ["1,000"] * 40 + ["#REF!"]}, Dialect(thousands=",")),
    "texts with a number": ({"x": ["1,000", "few", "many"] * 9}, PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_is_the_one_that_makes_the_most_columns_numbers(name):
    columns, expected = FORMATS[name]
    assert find_number_format(pd.DataFrame(columns, dtype=str), PLAIN) == expected


def test_the_rest_of_the_dialect_stays():
    frame = pd.DataFrame({"x": ["1,5", "2,25"]}, dtype=str)
    found = find_number_format(frame, Dialect(separator=";"))
    assert found == Dialect(separator=";", decimal=",")


COMMA, THOUSANDS = Dialect(separator=";", decimal=","), Dialect(separator=";", thousands=",")
BOTH = Dialect(separator=";", decimal=",", thousands=".")
MISFITS = {
    "a point for a comma": (COMMA, ["1,5", "7"], ["3", "1.234"], "b.csv:3.*'1.234' is.*'1,5'"),
    "a comma for a point": (PLAIN, ["1.5"], ['"1,234"'], "b.csv:2.*'1,234' is not a number"),
    "thousands for decimals": (BOTH, ["1.234", "2.500"], ["1.25"], "b.csv:2.*'1.25' is.*'2.500'"),
    "decimals for thousands": (THOUSANDS, ["1,234.5"], ["1,25"], "b.csv:2.*'1,25' is not a number"),
    "in one file": (BOTH, ["12.5", "1", "0,5"], ["7"], "a.csv:4.*'0,5' is written.*'12.5' before"),
}  # fmt: skip


def check_files(tmp_path, dialect, *files, numeric=("x",)):
    for name, cells in zip(("a.csv", "b.csv"), files, strict=True):
        (tmp_path / name).write_text("\n".join(["x", *cells, ""]))
    return check_csv(str(tmp_path), "*.csv", numeric=numeric, dialect=dialect, min_rows=1)


@pytest.mark.parametrize("name", MISFITS)
def test_a_later_number_that_is_written_otherwise_is_refused_with_its_line(tmp_path, name):
    dialect, first, second, message = MISFITS[name]
    with pytest.raises(DataError, match=message):
        check_files(tmp_path, dialect, first, second)


def test_a_column_may_have_points_where_others_have_commas(tmp_path):
    """Degrees beside prices, say; and a text may hold anything."""
    assert check_files(tmp_path, COMMA, ["52.5", "1e3"], ["-0.25", "7"]).rows == 4
    assert check_files(tmp_path, COMMA, ["1,5", "NA"], ["1.5", "1"], numeric=()).rows == 4
