"""What check_csv accepts, and the one line it gives for everything it refuses."""

import gzip
from importlib import resources
from pathlib import Path

import pytest

from pcgrad_tfx.data.csv_checks import check_csv, csv_location
from pcgrad_tfx.data.row_checks import DataSummary
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.errors import DataError

ROW = b"1,2.5,Ann\n"
GOOD = b"id,fare,name\n" + 100 * ROW


def check(path: Path, **options) -> DataSummary:
    return check_csv(*csv_location(str(path)), required=["name"], numeric=["id", "fare"], **options)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        check(path)
    return str(caught.value)


def test_a_good_file_is_summarized(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes(GOOD)
    assert check(file) == DataSummary((str(file),), ("id", "fare", "name"), 100)


def test_the_files_of_a_folder_are_read_together_and_others_left_alone(tmp_path):
    (tmp_path / "b.csv").write_bytes(GOOD)
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "notes.txt").write_bytes(b"not a table")
    summary = check(tmp_path)
    assert summary.files == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert summary.rows == 200


def test_the_taxi_trips_are_accepted():
    data = resources.files("tfx") / "components/testdata/external/csv/data.csv"
    with resources.as_file(data) as file:
        summary = check_csv(*csv_location(str(file)), required=["company"], numeric=["fare"])
    assert summary.rows == 10_000
    assert len(summary.columns) == 18


ACCEPTED = {
    "an empty cell": b"1,,Ann\n",
    "a quoted empty cell": b'1,"",Ann\n',
    "a quoted comma": b'1,2.5,"Ann, the second"\n',
    "a quoted line break": b'1,2.5,"Ann\nthe\nsecond"\n',
    "doubled quotes": b'1,2.5,"Ann ""the second"""\n',
    "Windows line ends": b"1,2.5,Ann\r\n",
    "no line end": b"1,2.5,Ann",
    "letters beyond ASCII": "1,2.5,Ånn\n".encode(),
    "an exponent": b"1,2.5e-3,Ann\n",
    "a sign": b"-1,+2.5,Ann\n",
    "spaces around a number": b" 1 , 2.5 ,Ann\n",
    "the largest 64-bit integer": b"9223372036854775807,2.5,Ann\n",
    "a large decimal number": b"1,1.5e19,Ann\n",
    "a text like a missing value": b"1,2.5,nan\n",
    "a blank cell": b"1, ,Ann\n",
    "a space before a quote": b'1,2.5, "Ann, the second"\n',
    "a quote within a text": b'1,2.5,Ann 5" tall\n',
}


@pytest.mark.parametrize("row", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_tfx_reads_well_is_accepted(tmp_path, row):
    file = tmp_path / "data.csv"
    file.write_bytes(GOOD + row)
    assert check(file).rows == 101


def test_a_compressed_file_is_read_as_what_is_in_it(tmp_path):
    file = tmp_path / "data.csv.gz"
    file.write_bytes(gzip.compress(GOOD + b'1,2.5,"Ann\nthe second"\n'))
    assert check(file) == DataSummary((str(file),), ("id", "fare", "name"), 101)
    file.write_bytes(gzip.compress(GOOD + b"1,abc,Ann\n"))
    assert refusal(file).startswith(f"{file}:102: column 'fare': 'abc' is not a number")
    file.write_bytes(gzip.compress(GOOD)[:-20])
    assert refusal(file).startswith(f"{file}: no whole gzip file (Compressed file ended")
    file.write_bytes(GOOD)
    assert refusal(file).startswith(f"{file}: no whole gzip file (Not a gzipped file")


def test_texts_that_stand_for_a_missing_value_count_as_empty(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes(GOOD + b"NA, NA ,?\n")
    assert check(file, missing=["NA", "?"]).rows == 101
    assert f"{file}:102: column " in refusal(file)
    assert "write missing = ['NA'] under [data]" in refusal(file)
    file.write_bytes(GOOD.replace(b"2.5", b"NA"))
    with pytest.raises(DataError, match="column 'fare': empty in every row"):
        check(file, missing=["NA"])


def test_a_sample_is_given_every_row(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes(GOOD + b"NA,3.5,Bob\n")
    sample = RowSample(exact=["name"])
    check(file, missing=["NA"], sample=sample)
    assert sample.rows == 101
    assert sample.values == {"name": {"Ann", "Bob"}}
    assert sample.frame().iloc[-1].tolist() == ["", "3.5", "Bob"]


def test_blank_lines_are_skipped_as_tfx_skips_them(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes(GOOD + b"\n\r\n")
    assert check(file).rows == 100


# Name of the fault: the file's bytes, where it is (after the file's name), what must be said.
REFUSED = {
    "empty file": (b"", ":", ["empty", "header line"]),
    "header only": (b"id,fare,name\n", ":", ["without data rows"]),
    "header and blank lines": (b"id,fare,name\n\n\n", ":", ["without data rows"]),
    "semicolons": (GOOD.replace(b",", b";"), ":1:", ["separated by ';'", 'separator = ";"']),
    "tabs": (GOOD.replace(b",", b"\t"), ":1:", ["separated by a tab", 'separator = "\\t"']),
    "bars": (GOOD.replace(b",", b"|"), ":1:", ["separated by '|'", 'separator = "|"']),
    "missing column": (
        GOOD.replace(b"fare", b"fair", 1),
        ":1:",
        ["no column 'fare'", "did you mean 'fair'?", "id, fair, name"],
    ),
    "column in capitals": (GOOD.replace(b"fare", b"FARE", 1), ":1:", ["did you mean 'FARE'?"]),
    "two missing columns": (
        GOOD.replace(b"id,fare", b"x,y", 1),
        ":1:",
        ["no column 'fare', 'id'"],
    ),
    "UTF-16": (GOOD.decode().encode("utf-16"), ":1:", ["UTF-8", "encoding ="]),
    "UTF-16 without mark": (GOOD.decode().encode("utf-16-le"), ":1:", ["NUL", "utf-16"]),
    "Latin-1": (
        GOOD + "1,2.5,Ånn\n".encode("latin-1"),
        ":102:",
        ["0xc5 is not UTF-8", 'encoding = "cp1252"'],
    ),
    "NUL": (GOOD + b"1,2.5,A\0nn\n", ":102:", ["NUL"]),
    "word": (GOOD + b"1,abc,Ann\n", ":102:", ["column 'fare'", "'abc' is not a number", "empty"]),
    "digits beyond ASCII": (GOOD + "1,٢,Ann\n".encode(), ":102:", ["'٢' is not a number"]),
    "decimal comma": (
        GOOD + b'1,"2,5",Ann\n',
        ":102:",
        ["column 'fare'", "'2,5' is not a number", "`decimal`", "`tfx-pcgrad init`"],
    ),
    "currency": (GOOD + b"1,$5,Ann\n", ":102:", ["'$5' is not a number", "`units`"]),
    "nan": (GOOD + b"1,nan,Ann\n", ":102:", ["column 'fare'", "'nan'", "leave the cell empty"]),
    "inf": (GOOD + b"1,-inf,Ann\n", ":102:", ["column 'fare'", "'-inf'", "leave the cell empty"]),
    "beyond float32": (GOOD + b"1,1e39,Ann\n", ":102:", ["column 'fare'", "32-bit"]),
    "beyond int64": (GOOD + b"9223372036854775808,2,Ann\n", ":102:", ["column 'id'", "64-bit"]),
    "thousands of digits": (GOOD + b"9" * 5000 + b",2,Ann\n", ":102:", ["column 'id'", "finite"]),
    "short row": (GOOD + b"1,2.5\n", ":102:", ["length 2 below 3 column names"]),
    "long row": (GOOD + b"1,2.5,Ann,the second\n", ":102:", ["length 4 below 3 column names"]),
    "fault below a line break in a cell": (
        GOOD + b'1,2.5,"Ann\nthe second"\n1,2.5\n',
        ":104:",
        ["length 2"],
    ),
    "open quote": (GOOD + b'1,2.5,"Ann\n1,2.5,Ann\n', ":102:", ["quote", "close"]),
    "stray quotes": (GOOD + b'1,2.5,"Ann" the "second"\n', ":102:", ["cannot be read as CSV"]),
    "column without a value": (
        GOOD.replace(b"2.5", b""),
        ":",
        ["column 'fare'", "empty in every row"],
    ),
    "too few rows": (b"id,fare,name\n" + 5 * ROW, ":", ["too few data rows (5)", "at least 100"]),
}


@pytest.mark.parametrize(("content", "place", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_fault_is_told_in_one_line_with_its_place(tmp_path, content, place, said):
    file = tmp_path / "data.csv"
    file.write_bytes(content)
    message = refusal(file)
    assert message.startswith(f"{file}{place} ")
    assert len(message.splitlines()) == 1
    for part in said:
        assert part in message


def test_the_second_file_of_a_folder_is_checked_too(tmp_path):
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "b.csv").write_bytes(GOOD + b"1,abc,Ann\n")
    assert refusal(tmp_path).startswith(f"{tmp_path / 'b.csv'}:102: column 'fare': 'abc'")


@pytest.mark.parametrize(
    ("header", "difference"),
    [(b"id,name,fare", "column 2 is 'name'"), (b"id,fare,name,x", "4 columns instead of 3")],
)
def test_files_with_different_headers_are_refused(tmp_path, header, difference):
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "b.csv").write_bytes(GOOD.replace(b"id,fare,name", header))
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path / 'b.csv'}:1: ")
    assert difference in message


def test_an_empty_folder_is_refused(tmp_path):
    assert refusal(tmp_path).startswith(f"{tmp_path}: no file '*.csv' in this folder")


def test_a_missing_folder_is_refused(tmp_path):
    assert refusal(tmp_path / "none").startswith(f"{tmp_path / 'none'}: no such folder")


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "taxi.csv").write_bytes(GOOD)
    message = refusal(tmp_path / "taxis.csv")
    assert message.startswith(f"{tmp_path}: no file 'taxis.csv'")
    assert "did you mean 'taxi.csv'?" in message


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "data.doc").write_bytes(GOOD)
    assert refusal(tmp_path / "data.doc") == (
        f"{tmp_path / 'data.doc'}: not a .csv file; rename it if it holds CSV"
    )


def test_a_folder_that_is_named_like_a_file_is_refused(tmp_path):
    (tmp_path / "data.csv").mkdir()
    assert refusal(tmp_path / "data.csv").startswith(f"{tmp_path / 'data.csv'}: a folder")


@pytest.mark.parametrize("path", ["data[1].csv", "data [1]"])
def test_a_name_that_tfx_takes_for_a_pattern_is_refused(tmp_path, path):
    file = tmp_path / path if path.endswith(".csv") else tmp_path / path / "data.csv"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(GOOD)
    message = refusal(tmp_path / path)
    assert message.startswith(str(tmp_path / path))
    assert "wildcards" in message


def test_the_smallest_number_of_rows_is_an_argument(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes(b"id,fare,name\n" + 5 * ROW)
    assert check(file, min_rows=5).rows == 5
    with pytest.raises(DataError, match=r"too few data rows \(5\) .* at least 6 "):
        check(file, min_rows=6)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/data/taxi.csv", ("/data", "taxi.csv")),
        ("taxi.csv", (".", "taxi.csv")),
        ("/data", ("/data", "*.csv")),
        ("gs://bucket/data/", ("gs://bucket/data/", "*.csv")),
        ("gs://bucket/trips.tsv.zst", ("gs://bucket", "trips.tsv.zst")),
        ("data/*.data", ("data", "*.data")),
    ],
)
def test_a_path_is_split_by_its_name(path, location):
    assert csv_location(path) == location


def test_an_underscore_makes_no_number(tmp_path):
    (tmp_path / "data.csv").write_bytes(GOOD + b"1,1_000,Ann\n")
    assert "'1_000' is not a number" in refusal(tmp_path / "data.csv")


def test_a_cell_that_is_too_long_is_told_as_such(tmp_path):
    (tmp_path / "data.csv").write_bytes(GOOD + b"1,2.5," + b"x" * 140_000 + b"\n")
    assert ":102: a cell of more than 131,072 characters" in refusal(tmp_path / "data.csv")


def test_long_names_and_values_are_cut_in_messages(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("id,fare," + "n" * 5000 + "\n" + "1,2,3\n" * 100)
    assert len(refusal(file).replace(str(file), "")) < 200
    file.write_bytes(GOOD + b"1," + b"x" * 5000 + b",Ann\n")
    assert "'xxx" in refusal(file)
    assert "(5,000 characters)" in refusal(file)
    assert len(refusal(file).replace(str(file), "")) < 250
