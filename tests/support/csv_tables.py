"""A table on its way to a CSV file with faults, and what a person would read in that file."""

import csv
import dataclasses
import gzip
import io
import random
import re
from collections.abc import Sequence

COLUMNS = ("miles", "count", "city", "code", "amount", "paid", "sort")
ROWS = 130
MISSING = ("NA", "?")

# Features named here, or found in the data ("draft").
CONFIG = """
name = "mutated"
[data]
path = "{file}"
missing = [{missing}]
[[tasks]]
name = "amount"
kind = "regression"
column = "amount"
log_scale = {log_scale}
[[tasks]]
name = "paid"
kind = "binary"
column = "paid"
[[tasks]]
name = "sort"
kind = "multiclass"
column = "sort"
{classes}
"""
FEATURES = """
[features]
numeric = ["miles"]
categorical = ["city", "code"]
bucketized = {count = 4}
"""
CLASSES = 'classes = ["x", "y", "z"]'


def base_rows() -> list[list[str]]:
    draw = random.Random(3)
    return [
        [
            f"{draw.random() * 30:.2f}",
            str(draw.randrange(100)),
            draw.choice(["Aix", "Bonn", "Cork"]),
            str(draw.randrange(5)),
            f"{draw.random() * 9:.1f}",
            str(draw.randrange(2)),
            draw.choice("xyz"),
        ]
        for _ in range(ROWS)
    ]


@dataclasses.dataclass
class File:
    """A table on its way to a file; mutations change it in place.

    Attributes:
        header: The columns' names.
        rows: Texts.
        name: The file's name.
        kinds: The mutations so far.
        settings: What the configuration says.
        dialect: How it is written.
        encoding: Of the text.
        damages: Functions from the file's bytes to other bytes.
    """

    header: list[str] = dataclasses.field(default_factory=lambda: list(COLUMNS))
    rows: list[list[str]] = dataclasses.field(default_factory=base_rows)
    name: str = "data.csv"
    kinds: list[str] = dataclasses.field(default_factory=list)
    settings: dict = dataclasses.field(default_factory=dict)
    dialect: dict = dataclasses.field(default_factory=dict)
    encoding: str = "utf-8"
    damages: list = dataclasses.field(default_factory=list)

    @property
    def config(self) -> str:
        text = CONFIG.format(
            file=self.name,
            missing=", ".join(f'"{text}"' for text in self.settings.get("missing", ())),
            log_scale=str(self.settings.get("log_scale", False)).lower(),
            classes=CLASSES if self.settings.get("classes") else "",
        )
        return text + (FEATURES if self.settings.get("features") else "")

    @property
    def content(self) -> bytes:
        text = io.StringIO(newline="")
        options = {"lineterminator": "\n", "quoting": csv.QUOTE_MINIMAL} | self.dialect
        space = options.pop("space", "")
        header = dict(options)
        if not self.settings.get("quoted header"):
            header["quoting"] = csv.QUOTE_MINIMAL
        csv.writer(text, **header).writerow(self.header)
        writer = csv.writer(text, **options)
        writer.writerows([[space + cell for cell in row] for row in self.rows])
        content = text.getvalue().encode(self.encoding, "replace")
        for damage in self.damages:
            content = damage(content)
        return content


@dataclasses.dataclass(frozen=True)
class Mutated:
    """A mutated file and its configuration."""

    kinds: tuple[str, ...]
    name: str
    content: bytes
    config: str

    def write(self, folder):
        """Writes both; returns the configuration's path."""
        (folder / self.name).write_bytes(self.content)
        (folder / "mutated.toml").write_text(self.config)
        return folder / "mutated.toml"

    @property
    def missing(self) -> Sequence[str]:
        return MISSING if '"NA"' in self.config else ()

    def table(self) -> dict[str, list[str]]:
        """What a person reads in the file: the cells by column, empty where a value is missing.

        A reading of its own, of the text as a whole, with nothing in common with the reader that
        is tested but Python's csv module.
        """
        content = gzip.decompress(self.content) if self.name.endswith(".gz") else self.content
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        lines = [[cell.strip() for cell in row] for row in csv.reader(text, skipinitialspace=True)]
        header, *rows = [row for row in lines if row not in ([], [""])]
        assert all(len(row) == len(header) for row in rows)
        names: list[str] = []
        for place, name in enumerate(header, start=1):
            known = name or f"unnamed_{place}"
            names.append(f"{known}_2" if known in names else known)
        cells = [["" if cell in self.missing else cell for cell in row] for row in rows]
        return dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def as_number(cell: str) -> float | None:
    """The number that a person reads in a cell, if it is one."""
    return float(cell) if _NUMBER.fullmatch(cell.strip(" \t")) else None
