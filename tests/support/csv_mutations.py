"""Mutations of CSV files: hypothesis strategies."""

import csv
import gzip
from collections.abc import Iterator

from hypothesis import strategies as st

from csv_tables import COLUMNS, MISSING, ROWS, File, Mutated

# Texts for a cell: what people and programs write.
NUMBERS = (
    "0", "-0", "-3", "+3", " 7 ", "5.", ".5", "1e5", "1E-3", "1_000", "0x10", "1,5", "1.000,5",
    "1 000", "3%", "$4", "(5)", "½", "٣", "\uff11", "1e-400", "1e39", "-1e39", "1e400", "3.5e38",
    "16777217", "9007199254740993", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "12345678901234567890", "1" * 400, "0" * 5000 + "1", "1e15", "1e18",
    "3e38", "1" + "0" * 20,
)  # fmt: skip
GAPS = (
    "", " ", "\t", "nan", "NaN", "NAN", "-nan", "inf", "-inf", "Infinity", "NA", "N/A", "null",
    "NULL", "None", "?", "-", ".", "#DIV/0!",
)  # fmt: skip
DATES = ("2021-03-04", "04.03.2021", "3/4/21 10:00 PM", "2021-03-04T10:00:00Z", "12:30")
TEXTS = (
    "abc", "True", "FALSE", "Ålesund", "東京", "🚕",
    "a,b", 'say "hi"', '"', "a\nb", "a\r\nb", "a\rb",
    "\n", "<b>bold</b>", "a/b", "..", "=1+1", "'", "\\", "\x01", "\u200b", "\u2028", " padded ",
    "x" * 5000, "x" * 140_000, "é" * 3000,
)  # fmt: skip
CELLS = {"number": NUMBERS, "gap": GAPS, "date": DATES, "text": TEXTS}


def _cells(draw, file):
    kind = draw(st.sampled_from(sorted(CELLS)))
    text = draw(st.sampled_from(CELLS[kind]))
    column = draw(st.integers(0, len(file.header) - 1))
    share = draw(st.sampled_from(["one", "some", "all"]))
    step = {"one": len(file.rows) + 1, "some": draw(st.integers(2, 40)), "all": 1}[share]
    for row in file.rows[::step]:
        row[column : column + 1] = [text][: len(row) - column]
    return f"{kind} in {share}"


# Numbers that float32, or int64, cannot tell apart.
NEIGHBOURS = (
    ("16777216", "16777217"),
    ("16777216", "16777217", "0.5"),
    ("9007199254740992", "9007199254740993"),
    ("9007199254740992", "9007199254740993", "nan"),
    ("0.1", "0.10000000001"),
    ("41.880994471", "41.880994470"),
    ("1e40", "2e40", "3"),
    ("12345678901234567890", "12345678901234567891"),
    ("1_000", "1000"),
    ("8", "8.0", "08"),
)


def _neighbours(draw, file):
    column, cells = draw(st.integers(0, 6)), draw(st.sampled_from(NEIGHBOURS))
    for number, row in enumerate(file.rows):
        row[column : column + 1] = [cells[number % len(cells)]][: len(row) - column]
    return "neighbours"


def _labels(draw, file):
    """Labels that all are missing, all are the same, are rare or are negative."""
    column = draw(st.sampled_from([4, 5, 6]))
    how = draw(st.sampled_from(["missing", "one class", "rare class", "negative", "new class"]))
    for number, row in enumerate(file.rows):
        if len(row) <= column or (how == "new class" and number > 20):
            continue
        value = {
            "missing": "",
            "one class": ("2.5", "1", "x")[column - 4],
            "rare class": row[column]
            if number == 7
            else ("2.5", "0", ("x", "y")[number % 2])[column - 4],
            "negative": f"-{row[column]}",
            "new class": ("1e3", "2", "w")[column - 4],
        }[how]
        row[column] = value
    return f"labels: {how}"


def _log_scale(draw, file):
    file.settings["log_scale"] = True
    if draw(st.booleans()):
        for row in file.rows[:: draw(st.integers(1, 9))]:
            row[4:5] = ["-2.5"][: len(row) - 4]
    return "log scale"


def _names(draw, file):
    name = draw(
        st.sampled_from(
            [
                "",
                " ",
                "city",
                "miles ",
                " miles",
                "Miles",
                "a,b",
                '"',
                "🚕",
                "n" * 5000,
                "a\nb",
                "_",
            ]
        )
    )
    file.header[draw(st.integers(0, len(file.header) - 1))] = name
    return "column name"


def _columns(draw, file):
    how = draw(st.sampled_from(["dropped", "doubled", "moved", "added", "constant", "empty"]))
    place = draw(st.integers(0, len(file.header) - 1))
    for number, row in enumerate([file.header, *file.rows]):
        if len(row) <= place:
            continue
        if how == "dropped":
            del row[place]
        elif how == "doubled":
            row.append(row[place])
        elif how == "moved":
            row.append(row.pop(place))
        elif how == "added":
            row.insert(place, "new" if number == 0 else str(number))
        elif number:
            row[place] = "7" if how == "constant" else ""
    return f"column {how}"


def _ragged(draw, file):
    if not file.rows:
        return "ragged rows"
    row = file.rows[draw(st.integers(0, len(file.rows) - 1))]
    if draw(st.booleans()):
        row.append(draw(st.sampled_from(["", "1"])))
    else:
        row.pop()
    return "ragged rows"


def _few(draw, file):
    del file.rows[draw(st.sampled_from([0, 1, 5, 99, 100])) :]
    return "few rows"


def _separator(draw, file):
    file.dialect["delimiter"] = draw(st.sampled_from(";\t|:"))
    return "separator"


def _trailing_separator(draw, file):
    for row in file.rows if draw(st.booleans()) else [file.header, *file.rows]:
        row.append("")
    return "trailing separators"


def _spaces(draw, file):
    file.dialect["space"] = draw(st.sampled_from([" ", "  "]))
    return "spaces"


def _line_ends(draw, file):
    file.dialect["lineterminator"] = draw(st.sampled_from(["\r\n", "\r", "\n\n", "\n \n"]))
    return "line ends"


def _quoting(draw, file):
    how = draw(st.sampled_from(["all", "all but the header", "single quotes", "backslashes"]))
    if how == "all":
        file.dialect["quoting"] = csv.QUOTE_ALL
        file.settings["quoted header"] = True
    elif how == "all but the header":
        file.dialect["quoting"] = csv.QUOTE_ALL
    elif how == "single quotes":
        file.dialect["quotechar"] = "'"
    else:
        file.dialect |= {"doublequote": False, "escapechar": "\\"}
    return f"quotes: {how}"


def _encoding(draw, file):
    file.encoding = draw(
        st.sampled_from(
            ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "gbk"]
        )
    )
    if draw(st.booleans()):
        for row in file.rows[::5]:
            row[2:3] = ["Köln “am” Rhein"][: len(row) - 2]
    return f"encoding {file.encoding}"


def _bytes(draw, file):
    inserted = draw(
        st.sampled_from(
            [b"\0", b"\xff", b'"', b"\n", b"\r", b",", b"\x1a", b" ", b"'", b"\xef\xbb\xbf"]
        )
    )
    place = draw(st.integers(0, 3000))
    file.damages.append(lambda content: content[:place] + inserted + content[place:])
    return f"inserted {inserted!r}"


def _cut(draw, file):
    place = draw(st.sampled_from([0, 1, 20, 60, 2000, 3000, 3300]))
    file.damages.append(lambda content: content[:place])
    return "cut off"


def _lines(draw, file):
    first, last = draw(
        st.sampled_from(
            [(b"", b"\n\n\r\n"), (b"", b"\x1a"), (b"", b"total,,,,,,\n"), (b"", b"(3 rows)\n"),
             (b"sep=,\n", b""), (b"# trips\n", b""), (b"\n", b"")]
        )
    )  # fmt: skip
    file.damages.append(lambda content: first + content.rstrip(b"\n") + b"\n" + last)
    return "lines around"


def _gzip(draw, file):
    how = draw(
        st.sampled_from(["good", "cut off", "damaged", "plain", "twice", "unnamed", "empty"])
    )
    place = draw(st.integers(0, 1500))
    file.name = "data.csv" if how == "unnamed" else "data.csv.gz"

    def pack(content):
        packed = gzip.compress(content, mtime=0)
        at = place % len(packed)
        return {
            "cut off": packed[:at],
            "damaged": packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :],
            "plain": content,
            "twice": gzip.compress(packed, mtime=0),
            "empty": b"",
        }.get(how, packed)

    # After all other damages.
    file.settings["pack"] = pack
    return f"gzip: {how}"


MUTATIONS = (
    _cells, _cells, _cells, _cells, _cells, _neighbours, _neighbours, _labels, _labels, _log_scale,
    _names, _columns, _columns, _ragged, _few, _separator, _trailing_separator, _spaces, _line_ends,
    _quoting, _encoding, _bytes, _cut, _lines, _gzip,
)  # fmt: skip


def cell_by_cell() -> Iterator[Mutated]:
    """Every text in a column of each kind: in one cell, or in every other one."""
    for kind, texts in CELLS.items():
        for text in texts:
            for name in ("miles", "city", "code", "amount", "sort"):
                column = COLUMNS.index(name)
                file = File(settings={"features": column % 2 == len(text) % 2})
                step = 2 if len(text) % 3 == 0 else ROWS
                for row in file.rows[::step]:
                    row[column] = text
                kinds = (f"{kind} in {name}",)
                yield Mutated(kinds, file.name, file.content, file.config)


@st.composite
def mutated_files(draw):
    file = File()
    most = draw(st.sampled_from([1, 1, 2, 3]))
    for name, given in (("missing", MISSING), ("features", True), ("classes", True)):
        if draw(st.booleans()):
            file.settings[name] = given
    for mutate in draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=most)):
        file.kinds.append(mutate(draw, file))
    content = file.content
    pack = file.settings.get("pack", lambda content: content)
    return Mutated(tuple(file.kinds), file.name, pack(content), file.config)
