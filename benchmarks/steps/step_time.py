"""Times training steps: one backward pass, T of them, gradient surgery, textbook PCGrad.

One process, pinned to one core, one thread, CPU time; the variants take turns step by step; the
medians of the ratios within a round are reported. Tracing time and growth of memory are measured in
a fresh process for each variant.
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

import rich.console
import tensorflow as tf

from benchmarks.measuring import in_new_process, interleaved_seconds, median_ratio
from benchmarks.one_core import use_one_core
from benchmarks.steps import step_footprint, step_time_report
from benchmarks.steps.networks import NETWORKS
from benchmarks.steps.steps import STEPS

_RESULTS = pathlib.Path(__file__).parents[1] / "results"


def main() -> None:
    """Runs the benchmark."""
    args = _arguments()
    use_one_core()
    console = rich.console.Console(width=120)
    rows = []
    for network in args.networks:
        for tasks in args.tasks:
            if network == _LARGE_TABLE and tasks not in _LARGE_TABLE_TASKS:
                continue
            console.print(f"{network}, {tasks} tasks …")
            row = _times(network, tasks, args)
            if not args.no_footprint:
                row["footprint"] = {
                    name: _footprint(network, tasks, name)
                    for name in args.steps
                    if name in _FOOTPRINTS
                }
            rows.append(row)
            # Row by row, so that an interruption loses nothing.
            _write(rows, args.output)
    console.print(step_time_report.table(rows))
    step_time_report.plot(rows, args.output / "step_time.svg")
    console.print(f"Written to {args.output}: step_time.json, step_time.svg")


# In a process of its own each, which takes its time.
_FOOTPRINTS = ("floor", "PCGrad", "PPCGrad", "textbook")

# One table of ten times the rows, to show that the cost does not depend on them.
_LARGE_TABLE, _LARGE_TABLE_TASKS = "c, 2,000,000 rows", (5,)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--tasks", nargs="+", type=int, default=[2, 3, 5, 10, 20, 40])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--rounds", type=int, default=15, help="at least (default: 15)")
    parser.add_argument(
        "--seconds", type=float, default=10, help="of CPU time to fill with more rounds"
    )
    parser.add_argument("--no-footprint", action="store_true", help="times of steps only")
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    args = parser.parse_args()
    if not {"plain", "floor", "PCGrad"} <= set(args.steps):
        parser.error("--steps must contain plain, floor and PCGrad, which the ratios refer to")
    return args


def _times(network: str, tasks: int, args: argparse.Namespace) -> dict[str, Any]:
    problem = NETWORKS[network].build(tasks)
    steps = {name: tf.function(STEPS[name](problem)).get_concrete_function() for name in args.steps}
    times = interleaved_seconds(steps, args.rounds, args.seconds)
    return {
        "network": network,
        "title": NETWORKS[network].title,
        "batch": NETWORKS[network].batch,
        "tasks": tasks,
        "rounds": {name: len(values) for name, values in times.items()},
        "milliseconds": {name: 1e3 * statistics.median(v) for name, v in times.items()},
        "per_plain": {name: median_ratio(v, times["plain"]) for name, v in times.items()},
        "per_floor": {name: median_ratio(v, times["floor"]) for name, v in times.items()},
        "per_pcgrad": {name: median_ratio(v, times["PCGrad"]) for name, v in times.items()},
    }


def _write(rows: list[dict[str, Any]], folder: pathlib.Path) -> None:
    result = {
        "tensorflow": tf.__version__,
        "processor": platform.processor() or platform.machine(),
        "rows": rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "step_time.json").write_text(json.dumps(result, indent=1) + "\n")


def _footprint(network: str, tasks: int, step: str) -> dict[str, float]:
    return in_new_process(step_footprint.__file__, network, str(tasks), step)


if __name__ == "__main__":
    main()
