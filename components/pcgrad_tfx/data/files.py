"""Which files a path stands for: one file of rows, a folder, TFRecords, a folder of splits."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import tensorflow as tf

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.data import tfrecord_checks
from pcgrad_tfx.data.csv_checks import check_csv, csv_location
from pcgrad_tfx.data.reading.tables import TABLE_ENDINGS
from pcgrad_tfx.data.reading.typed_files import TYPED_ENDINGS
from pcgrad_tfx.data.row_checks import MIN_ROWS, DataSummary
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.data.split_checks import SPLITS
from pcgrad_tfx.errors import DataError, shown

# "typed" are Parquet, JSON lines, Arrow, and the rows of a query.
Format: TypeAlias = Literal["csv", "typed", "tfrecord"]

_OTHER_PROGRAMS = (
    ".xlsx", ".xls", ".ods", ".pkl", ".pickle", ".dta", ".sav", ".rds", ".rdata", ".h5",
)  # fmt: skip
_DATABASES = (".duckdb", ".ddb", ".db", ".db3", ".sqlite", ".sqlite3")
_EVAL_NAMES = ("eval", "valid", "validation", "val", "dev")
# The first one counts: TFX itself writes names such as data_tfrecord-00000-of-00001.gz.
_PATTERNS: Mapping[str, Format] = {
    "*.csv": "csv",
    "*.csv.gz": "csv",
    "*.csv.zst": "csv",
    "*.tsv": "csv",
    "*.parquet": "typed",
    "*.jsonl": "typed",
    "*.jsonl.gz": "typed",
    "*.arrow": "typed",
    "*.feather": "typed",
    "*tfrecord*": "tfrecord",
}
_CHECKS = {"csv": check_csv, "typed": check_csv, "tfrecord": tfrecord_checks.check_tfrecord}


@dataclass(frozen=True)
class DataFiles:
    """Files of one format, in one folder.

    Attributes:
        base: The folder.
        patterns: Names or glob patterns in it: one that is to be split by hash, under the name
            "all", or one for each of `SPLITS`.
        format: How they are written.
    """

    base: str
    patterns: Mapping[str, str]
    format: Format

    @property
    def splits(self) -> Mapping[str, str] | None:
        """The patterns of the user's own splits; None if the data are to be split."""
        return self.patterns if set(self.patterns) == set(SPLITS) else None


def find_data(path: str, dialect: Dialect = PLAIN) -> DataFiles:
    """Finds the files.

    Args:
        path: A file, CSV, Parquet, JSON lines or Arrow, a pattern of them (`folder/*.data`), a
            TFRecord file (with "tfrecord" in its name), or a folder: of such files, or with the
            folders train, eval (or valid) and test. For a query: what it reads, a file, a pattern,
            a folder, or a database of DuckDB's or SQLite's.
        dialect: How the files are read.

    Returns:
        The files. Whether they can be read is for `check_data` to find out.

    Raises:
        DataError: It is an archive or of a format that is not read, on a file system that
            TensorFlow cannot open, or a folder with files of several formats or not all splits.
    """
    _check_scheme(path)
    base, name = os.path.split(path.rstrip("/"))
    is_folder = tf.io.gfile.isdir(path)
    if dialect.sql:
        place, pattern = (path, "*") if is_folder else (base or ".", name)
        return DataFiles(place, {"all": pattern}, "typed")
    if name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".7z")):
        raise DataError(f"{path}: an archive; unpack it (a CSV file alone may be a .csv.gz)")
    if name.endswith(".json"):
        raise DataError(
            f"{path}: JSON is read with one object in each line, from a .jsonl file; save it so, "
            f"or let a query read it, as in SELECT * FROM read_json('{name}') (--sql beside --init)"
        )
    if name.lower().endswith(_OTHER_PROGRAMS):
        raise DataError(f"{path}: a file of another program; save the table as CSV or Parquet")
    if name.lower().endswith(_DATABASES):
        raise DataError(
            f"{path}: a database; say which rows it is about, as in `sql` = 'SELECT * FROM trips' "
            "(--sql beside --init)"
        )
    if "tfrecord" in name and not name.endswith(TABLE_ENDINGS) and not is_folder:
        return DataFiles(base or ".", {"all": name}, "tfrecord")
    kind: Format = "typed" if name.endswith(TYPED_ENDINGS) else "csv"
    if not is_folder and tf.io.gfile.exists(path):
        return DataFiles(base or ".", {"all": name}, kind)
    if name.endswith(TABLE_ENDINGS) or not is_folder:
        base, pattern = csv_location(path)
        return DataFiles(base, {"all": pattern}, kind)
    folders = {entry.rstrip("/") for entry in tf.io.gfile.listdir(path)}
    folders = {entry for entry in folders if tf.io.gfile.isdir(os.path.join(path, entry))}
    if "train" in folders:
        return _own_splits(path, folders)
    pattern = _pattern_in(path)
    return DataFiles(path, {"all": pattern}, _PATTERNS[pattern])


def check_data(
    files: DataFiles,
    *,
    required: set[str],
    numeric: set[str],
    missing: Collection[str] = (),
    dialect: Dialect = PLAIN,
    splitting: Splitting = BY_HASH,
    sample: RowSample | None = None,
) -> DataSummary:
    """Reads all files once and refuses what would go wrong in the pipeline.

    Args:
        files: The files.
        required: Columns that must exist and have a value in some row, of every split.
        numeric: Columns that must exist and hold nothing but numbers.
        missing: Texts that stand for a missing value.
        dialect: How CSV files are written.
        splitting: How the rows are to be split, unless they have splits.
        sample: Is given every row on the way.

    Returns:
        What was read; of the user's own splits the training split, but the text columns and the
        repeated headers of all.

    Raises:
        DataError: On the first fault, in one line.
    """
    if files.splits and (keys := sorted(splitting.model_dump(exclude_defaults=True))):
        raise DataError(
            f"{files.base}: has splits of its own, which `{keys[0]}` would not change; remove the "
            "key, or put all files into one folder"
        )
    summaries = {}
    for split, pattern in files.patterns.items():
        if sample is not None:
            sample.split = split
        summaries[split] = _CHECKS[files.format](
            files.base,
            pattern,
            required=required,
            numeric=numeric,
            missing=missing,
            dialect=dialect,
            splitting=splitting,
            # How large the user's own splits are is the user's decision.
            min_rows=1 if files.splits else MIN_ROWS,
            sample=sample,
        )
    first = next(iter(summaries.values()))
    for summary in summaries.values():
        if set(summary.columns) != set(first.columns):
            other = sorted(set(summary.columns) ^ set(first.columns))[0]
            raise DataError(
                f"{summary.files[0]}: column {shown(other)} is not in all splits "
                f"({first.files[0]}); give all splits the same columns"
            )
    texts = (summary.text_columns for summary in summaries.values())
    return dataclasses.replace(
        first,
        text_columns=frozenset().union(*texts),
        repeated_headers=sum(summary.repeated_headers for summary in summaries.values()),
    )


def _check_scheme(path: str) -> None:
    scheme, is_url, _ = path.partition("://")
    known = sorted(filter(None, tf.io.gfile.get_registered_schemes()))
    if is_url and scheme not in known:
        listed = ", ".join(f"{name}://" for name in known if name != "ram")
        raise DataError(
            f"{path}: TensorFlow cannot open {scheme}:// here, only paths and {listed}; copy the "
            f"data to one of these (`tfx-pcgrad init {path}` downloads a file)"
        )


def _own_splits(path: str, folders: set[str]) -> DataFiles:
    evaluation = next((name for name in _EVAL_NAMES if name in folders), None)
    for name, found in (("eval", evaluation), ("test", "test" in folders)):
        if not found:
            raise DataError(
                f"{path}: there is a folder train, but no folder {name}; add it, or put all files "
                "into one folder to have them split 8:1:1"
            )
    patterns = {
        split: os.path.join(folder, _pattern_in(os.path.join(path, folder)))
        for split, folder in zip(SPLITS, ("train", evaluation or "", "test"), strict=True)
    }
    formats = {_PATTERNS[os.path.basename(pattern)] for pattern in patterns.values()}
    if len(formats) > 1:
        raise DataError(f"{path}: the splits are of different formats; give all of them one")
    return DataFiles(path, patterns, formats.pop())


def _pattern_in(folder: str) -> str:
    """The pattern of the data files in a folder; that of CSV files if there is none."""
    found = [pattern for pattern in _PATTERNS if tf.io.gfile.glob(os.path.join(folder, pattern))]
    if len(found) > 1:
        raise DataError(
            f"{folder}: has both {found[0]} and {found[1]} files; keep one kind in this folder"
        )
    return found[0] if found else "*.csv"
