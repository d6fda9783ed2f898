"""Opens a file of rows by the ending of its name."""

from __future__ import annotations

from collections.abc import Collection

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.data.csv_reading import CSV_ENDINGS, CsvFile
from pcgrad_tfx.data.typed_files import TYPED_ENDINGS, TypedFile
from pcgrad_tfx.errors import DataError

TABLE_ENDINGS = CSV_ENDINGS + TYPED_ENDINGS


def open_table(
    path: str, dialect: Dialect = PLAIN, missing: Collection[str] = ()
) -> CsvFile | TypedFile:
    """Opens a Parquet or JSON lines file if its name ends so, else a CSV file.

    Args:
        path: The file, on any file system that TFX can open.
        dialect: How a CSV file is written.
        missing: Texts that stand for a missing value, besides the empty one.

    Raises:
        DataError: A dialect is given for another file than CSV.
    """
    if not path.endswith(TYPED_ENDINGS):
        return CsvFile(path, dialect, missing)
    refuse_dialect(path, dialect)
    return TypedFile(path, missing)


def refuse_dialect(where: str, dialect: Dialect) -> None:
    """Raises DataError if a dialect, which is for CSV files, is not the plain one."""
    if keys := sorted(dialect.model_dump(exclude_defaults=True)):
        raise DataError(f"{where}: `{keys[0]}` is for CSV files; remove it")
