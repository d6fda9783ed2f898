"""How much time and memory reading takes: `tfx-pcgrad init`, and ExampleGen.

`python benchmarks/pipeline/reading.py` makes tables with the columns of the flights, as CSV and as
Parquet, and reads each in processes of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.types import standard_artifacts

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.stages import ingest
from pcgrad_tfx.data.files import find_data
from pcgrad_tfx.example_gen.csv_example_gen import Executor

_ROWS = 100_000  # At a time.
_LABELS = ("cancelled", "dep_delay", "lost_in_the_air")
_INIT = "from pcgrad_pipelines.command import main; main(sys.argv[1:])"
_GENERATE = "from benchmarks.pipeline.reading import generate; generate(*sys.argv[1:])"
_USAGE = (
    "from benchmarks.measuring import memory_mb; print(memory_mb('VmHWM'), time.process_time())"
)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 3_000_000])
    args = parser.parse_args()
    print(
        "| peak memory, MB / CPU seconds | init | ExampleGen |\n| --- | ---: | ---: |", flush=True
    )
    for rows in args.rows:
        for ending in ("csv", "parquet"):
            with tempfile.TemporaryDirectory() as folder:
                data, config = f"{folder}/flights.{ending}", f"{folder}/flights.toml"
                write_table(data, rows)
                labels = [option for label in _LABELS for option in ("--label", label)]
                init = _measure(_INIT, "init", data, "--config", config, *labels)
                example_gen = _measure(_GENERATE, config, f"{folder}/examples")
                print(f"| {rows:,} rows, {ending} | {init} | {example_gen} |", flush=True)


def write_table(path: str, rows: int) -> None:
    """Writes a table like that of the flights.

    Args:
        path: The file, whose name ends in .csv or .parquet.
        rows: How many.
    """
    with contextlib.ExitStack() as stack:
        for number, part in enumerate(_parts(rows)):
            if path.endswith(".csv"):
                part.to_csv(path, mode="a", header=number == 0, index=False)
                continue
            table = pa.Table.from_pandas(part, preserve_index=False)
            if number == 0:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)


def generate(config: str, folder: str) -> None:
    """Runs the ExampleGen of a configuration.

    Args:
        config: The configuration's file.
        folder: Where the examples are written.
    """
    loaded = load_config(config)
    component = ingest(loaded, find_data(loaded.data.location, loaded.data.dialect)).example_gen
    examples = standard_artifacts.Examples()
    examples.uri = folder
    Executor().Do({}, {"examples": [examples]}, dict(component.exec_properties))


def _measure(code: str, *arguments: str) -> str:
    """Runs code in a process of its own: its peak memory and CPU seconds."""
    root = str(pathlib.Path(__file__).parents[2])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    printed = subprocess.run(
        [sys.executable, "-c", "\n".join(["import sys, time", code, _USAGE]), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    ).stdout
    peak, seconds = map(float, printed.split()[-2:])
    return f"{peak:,.0f} / {seconds:,.0f}"


def _parts(rows: int) -> Iterator[pd.DataFrame]:
    generator = np.random.default_rng(0)
    for start in range(0, rows, _ROWS):
        size = min(_ROWS, rows - start)
        delay = np.round(generator.gamma(0.5, 30, size) - 8)
        cancelled = generator.random(size) < 0.025
        planned = generator.integers(300, 1440, size)
        yield pd.DataFrame(
            {
                "year": 2013,
                "month": generator.integers(1, 13, size),
                "day": generator.integers(1, 29, size),
                "sched_dep_time": planned,
                "dep_delay": np.where(cancelled, np.nan, delay),
                "sched_arr_time": (planned + generator.integers(40, 400, size)) % 1440,
                "carrier": generator.choice(["UA", "B6", "EV", "DL", "AA", "MQ"], size),
                "flight": generator.integers(1, 6000, size),
                "tailnum": np.char.add("N", generator.integers(100, 4100, size).astype(str)),
                "origin": generator.choice(["EWR", "JFK", "LGA"], size),
                "dest": np.char.add("D", generator.integers(0, 105, size).astype(str)),
                "air_time": np.where(cancelled, np.nan, generator.integers(30, 500, size)),
                "distance": generator.integers(80, 4983, size),
                "hour": planned // 60,
                "minute": planned % 60,
                "temp": np.round(generator.normal(56, 18, size), 2),
                "wind_speed": np.round(generator.gamma(3, 3.5, size), 4),
                "cancelled": cancelled.astype(int),
                "lost_in_the_air": np.where(
                    cancelled, np.nan, np.round(generator.normal(-5, 18, size))
                ),
            }
        )


if __name__ == "__main__":
    main()
