"""Times PCGrad with Gram matrices from the tape and layer by layer, against T backward passes.

As `step_time.py` does: one process, one core, one thread, CPU time, the variants in turn, medians
of the ratios within a round; time to trace and memory in a process of its own each. Unless asked
for, the size of the batch is not known while tracing, which is what `fit` has by default.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import rich.box
import rich.console
import rich.table
import tensorflow as tf

from benchmarks.measuring import in_new_process, interleaved_seconds, median_ratio
from benchmarks.one_core import use_one_core
from benchmarks.steps import layerwise_steps
from benchmarks.steps.layerwise_steps import CASES, WAYS, step_of

_RESULTS = pathlib.Path(__file__).parents[1] / "results"
_DEFAULT = (
    *(("b, batch 32", tasks) for tasks in (5, 20)),
    *(("b, batch 128", tasks) for tasks in (5, 20)),
    *(("b, batch 512", tasks) for tasks in (5, 20)),
    ("b, batch 2048", 5),
    *(("transformer", tasks) for tasks in (5, 10)),
    ("a", 20),
    ("c", 5),
    ("d", 5),
)
_MEASURED = ("tape", "layerwise", "auto")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--tasks", nargs="+", type=int, help="instead of the default ones")
    parser.add_argument("--rounds", type=int, default=15, help="at least (default: 15)")
    parser.add_argument("--seconds", type=float, default=15, help="of CPU time, for more rounds")
    parser.add_argument("--no-footprint", action="store_true", help="times of steps only")
    parser.add_argument(
        "--known-batch", action="store_true", help="the size of the batch is known while tracing"
    )
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file")
    args = parser.parse_args()
    name = "layerwise_known_batch.json" if args.known_batch else "layerwise.json"
    output = args.output or _RESULTS / name
    use_one_core()
    console = rich.console.Console(width=120)
    pairs = [(case, tasks) for case, tasks in _DEFAULT if case in args.cases]
    if args.tasks:
        pairs = [(case, tasks) for case in args.cases for tasks in args.tasks]
    rows = []
    for case, tasks in pairs:
        console.print(f"{case}, {tasks} tasks …")
        rows.append(_row(case, tasks, args))
        result = {
            "tensorflow": tf.__version__,
            "processor": platform.processor() or platform.machine(),
            "rows": rows,
        }
        output.write_text(json.dumps(result, indent=1) + "\n")
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading)
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def _row(case: str, tasks: int, args: argparse.Namespace) -> dict[str, Any]:
    problem = CASES[case].build(tasks)
    times = interleaved_seconds(
        {way: step_of(problem, way, args.known_batch) for way in WAYS}, args.rounds, args.seconds
    )
    row: dict[str, Any] = {
        "case": case,
        "tasks": tasks,
        "rounds": len(times["floor"]),
        "milliseconds": {way: 1e3 * statistics.median(own) for way, own in times.items()},
        "per_plain": {way: median_ratio(own, times["plain"]) for way, own in times.items()},
        "per_floor": {way: median_ratio(own, times["floor"]) for way, own in times.items()},
    }
    if not args.no_footprint:
        row["footprint"] = {way: _footprint(case, tasks, way, args) for way in _MEASURED}
    return row


def _footprint(case: str, tasks: int, way: str, args: argparse.Namespace) -> dict[str, float]:
    options = ["--known-batch"] if args.known_batch else []
    return in_new_process(layerwise_steps.__file__, case, str(tasks), way, *options)


HEADINGS = (
    "network",
    "T",
    "floor ÷ plain",
    *(f"{way} ÷ floor" for way in _MEASURED),
    "trace, s: tape, layerwise, auto",
    "memory, MB: tape, layerwise, auto",
)


def markdown(rows: list[dict[str, Any]]) -> str:
    """For the documentation: the table of the console."""
    lines = [HEADINGS, ("---", *("---:" for _ in HEADINGS[1:])), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    footprints = [row.get("footprint", {}).get(way, {}) for way in _MEASURED]
    return (
        row["case"],
        str(row["tasks"]),
        f"{row['per_plain']['floor']:.2f}",
        *(f"{row['per_floor'][way]:.2f}" for way in _MEASURED),
        ", ".join(f"{f['trace_seconds']:.1f}" for f in footprints if f),
        ", ".join(f"{f['memory_growth_mb']:,.0f}" for f in footprints if f),
    )


if __name__ == "__main__":
    main()
