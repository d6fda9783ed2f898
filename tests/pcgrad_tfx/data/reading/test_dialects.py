"""Files of many dialects: found as they are written, and read as a person reads them."""

import gzip

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.data.reading.csv_files import CsvFile
from pcgrad_tfx.data.reading.sniffing import find_dialect, lacks_header
from pcgrad_tfx.errors import DataError

HEADER = ["id", "city", "weight"]
ROWS = [[str(i), ("Köln, Rhein", "Århus", "Aix")[i % 3], f"{i / 7:.2f}"] for i in range(60)]


def text(separator=",", quote='"', end="\n", header=True):
    lines = [HEADER, *ROWS] if header else ROWS
    return "".join(
        separator.join(f"{quote}{cell}{quote}" if separator in cell else cell for cell in line)
        + end
        for line in lines
    )


FILES = {
    "plain": ("a.csv", text().encode(), {}),
    "a byte order mark": ("a.csv", text().encode("utf-8-sig"), {}),
    "semicolons": ("a.csv", text(";").encode(), {"separator": ";"}),
    "tabs": ("a.tsv", text("\t").encode(), {"separator": "\t"}),
    "bars": ("a.txt", text("|").encode(), {"separator": "|"}),
    "single quotes": ("a.csv", text(quote="'").encode(), {"quote": "'"}),
    "Windows": (
        "a.csv",
        text(";", end="\r\n").encode("cp1252"),
        {"separator": ";", "encoding": "cp1252"},
    ),
    "bare carriage returns": ("a.csv", text(end="\r").encode(), {}),
    "UTF-16": ("a.csv", text().encode("utf-16"), {"encoding": "utf-16"}),
    "UTF-16 without a mark": ("a.csv", text().encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "gzip": ("a.csv.gz", gzip.compress(text("\t").encode()), {"separator": "\t"}),
    "zstd": ("a.csv.zst", pa.compress(text(";").encode(), "zstd", asbytes=True),
             {"separator": ";"}),
}  # fmt: skip


def write(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


def read(path, dialect=PLAIN, missing=()):
    file = CsvFile(path, dialect, missing)
    return file.columns, [cells for _, cells in file.rows()]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_it_is_written(tmp_path, name):
    file, content, expected = FILES[name]
    path = write(tmp_path, file, content)
    dialect = find_dialect([path])
    assert dialect == Dialect(**expected)
    assert read(path, dialect) == (HEADER, ROWS)
    assert not lacks_header(path, dialect)


def test_columns_that_are_aligned_by_spaces_and_tabs(tmp_path):
    lines = [f' {i / 3:8.2f}   {i}\t"car {i}" \n' for i in range(50)]
    path = write(tmp_path, "cars.data", "".join(lines).encode())
    dialect = find_dialect([path])
    assert dialect == Dialect(separator=" ")
    assert lacks_header(path, dialect)
    columns, rows = read(path, dialect.model_copy(update={"header": False}))
    assert columns == ["column_1", "column_2", "column_3"]
    assert rows[7] == ["2.33", "7", "car 7"]
    assert len(rows) == 50


def test_texts_of_as_many_words_do_not_make_columns(tmp_path):
    path = write(tmp_path, "a.tsv", ("name\tage\n" + "Ann Lee\t30\n" * 50).encode())
    assert find_dialect([path]) == Dialect(separator="\t")


@pytest.mark.parametrize(
    ("above", "skip"),
    [("sep=;\n", 1), ("# a\n# b\n", 2), ("Trips\n\n2024\n", 3), ("\n\n", 0), ("", 0)],
)
def test_lines_above_the_table_are_left_out(tmp_path, above, skip):
    path = write(tmp_path, "a.csv", f"{above}{text(';')}".encode())
    dialect = find_dialect([path])
    assert dialect == Dialect(separator=";", skip=skip)
    write(tmp_path, "a.csv", f"{above}{text(';')}1;2\n".encode())
    with pytest.raises(DataError, match=f":{above.count(chr(10)) + 62}: a row of length 2 below 3"):
        read(path, dialect)
    assert CsvFile(path, dialect).columns == HEADER


@pytest.mark.parametrize("separator", [";", ","])
def test_a_row_of_another_length_does_not_hide_the_separator(tmp_path, separator):
    path = write(tmp_path, "a.csv", f"{text(separator)}1{separator}2\n".encode())
    assert find_dialect([path]) == Dialect(separator=separator)


def test_a_header_that_lacks_a_name_is_not_above_the_table(tmp_path):
    path = write(tmp_path, "a.csv", text().replace("id,", "", 1).encode())
    assert find_dialect([path]).skip == 0


@pytest.mark.parametrize(
    ("first", "lacking"),
    [("a,b,c", False), ("5.1,3.5,setosa", True), ("country,1990,1991,1992", False),
     ("p,x,x,p,x", True), ("7,yes,no", True), ("x,x,y", False), ("a,,c", False),
     ("$5.00,b", True), ('"1,5",b', True), ("12%,b", True), ("a,b,", False)],
)  # fmt: skip
def test_a_first_line_of_data(tmp_path, first, lacking):
    rows = (",".join(["1"] * (first.count(",") + 1)) + "\n") * 5
    path = write(tmp_path, "a.csv", f"{first}\n{rows}".encode())
    assert lacks_header(path, PLAIN) is lacking


def test_every_column_has_a_name_of_its_own(tmp_path):
    path = write(tmp_path, "a.csv", b',"a", a ,a_2,"b, c",\n1,2,3,4,5,6\n')
    columns, rows = read(path)
    assert columns == ["unnamed_1", "a", "a_2", "a_2_2", "b, c", "unnamed_6"]
    assert rows == [list("123456")]


def test_spaces_blank_lines_and_repeated_headers_do_not_count(tmp_path):
    path = write(tmp_path, "a.csv", b'\n x, "y"\n 1 ," a ""b"" "\n  \nx,y\n \t,NA \n\nx,y\n')
    file = CsvFile(path, missing=["NA"])
    assert [*file.rows()] == [(3, ["1", 'a "b"']), (6, ["", ""])]
    assert file.repeated_headers == 2


def test_numbers_are_rewritten_and_texts_are_not(tmp_path):
    path = write(tmp_path, "a.csv", b'"1.234,50 \xe2\x82\xac";"-12%";a.b,c;1,2,3;"2,5 kg";NA\n')
    dialect = Dialect(separator=";", header=False, decimal=",", thousands=".", units=("€", "%"))
    _, rows = read(path, dialect, ["NA"])
    assert rows == [["1234.50", "-12", "a.b,c", "1,2,3", "2,5 kg", ""]]


def test_without_quotes_they_are_a_part_of_the_text(tmp_path):
    path = write(tmp_path, "a.tsv", b'n\tx\n1\t"quoted\n2\t5" pipe\n')
    assert read(path, Dialect(separator="\t", quote=""))[1] == [["1", '"quoted'], ["2", '5" pipe']]


def test_files_in_two_encodings_are_refused(tmp_path):
    ascii_only = write(tmp_path, "a.csv", b"x,y\n1,2\n")
    western = write(tmp_path, "b.csv", text().encode("cp1252"))
    assert find_dialect([ascii_only, western]).encoding == "cp1252"
    universal = write(tmp_path, "c.csv", text().encode())
    with pytest.raises(DataError, match=r"c\.csv: is utf-8, but .*b\.csv is cp1252; save"):
        find_dialect([ascii_only, western, universal])


def test_a_damaged_byte_does_not_make_another_encoding(tmp_path):
    path = write(tmp_path, "a.csv", text().encode() + b'7,"K\xf6ln",1\n')
    with pytest.raises(DataError, match=":62: byte 0xf6 is not UTF-8"):
        find_dialect([path])


BROKEN = {
    "another encoding": (text().encode("cp1252"), PLAIN, r"a\.csv:2: byte 0xf6 is not UTF-8;"),
    "an unknown byte": (
        b"x,y\n1,\x81\n",
        Dialect(encoding="cp1252"),
        ":2: byte 0x81 is not cp1252",
    ),
    "no UTF-16": (b"x,y\n1,2", Dialect(encoding="utf-16-be"), r"a\.csv: not utf-16-be"),
    "a longer row": (b"x;y\n1;2;3\n", Dialect(separator=";"), ":2: a row of length 3 below 2"),
    "an open quote": (b"x,y\n1,'2\n", Dialect(quote="'"), r":2: a quote \('\) opens here"),
    "UTF-8": (
        text().encode(),
        Dialect(encoding="cp1252"),
        r'a\.csv:2: is UTF-8, but read as cp1252; write encoding = "utf-8" under \[data\]',
    ),
    "a byte order mark": (b"\xef\xbb\xbfx,y\n1,2\n", Dialect(encoding="latin-1"), ":1: is UTF-8"),
    "nothing": (b"\n\n", PLAIN, "the file is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_does_not_fit_is_refused_with_its_line(tmp_path, name):
    content, dialect, message = BROKEN[name]
    with pytest.raises(DataError, match=message) as caught:
        read(write(tmp_path, "a.csv", content), dialect)
    assert "\n" not in str(caught.value)


def test_a_windows_file_may_have_a_few_words_in_utf_8(tmp_path):
    content = text(";").encode("cp1252") + "7;Ångström;1\n".encode()
    path = write(tmp_path, "a.csv", content)
    dialect = find_dialect([path])
    assert dialect == Dialect(separator=";", encoding="cp1252")
    assert read(path, dialect)[1][-1] == ["7", "Ã…ngstrÃ¶m", "1"]


@pytest.mark.parametrize("cut", [4, 20])
def test_a_file_that_is_cut_off_is_told_as_such(tmp_path, cut):
    packed = pa.compress(text().encode(), "zstd", asbytes=True)
    with pytest.raises(DataError, match=r"a\.csv\.zst: no whole zstd file \("):
        read(write(tmp_path, "a.csv.zst", packed[:-cut]))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"decimal": ",", "thousands": ","}, "both ','"),
        ({"separator": "\n"}, "cannot be the separator"),
        ({"separator": ";;"}, "at most 1"),
        ({"encoding": "latin-99"}, "is no encoding"),
        ({"encoding": "base64"}, "is no encoding"),
    ],
)
def test_a_dialect_that_cannot_be(keys, message):
    with pytest.raises(ValidationError, match=message):
        Dialect(**keys)
