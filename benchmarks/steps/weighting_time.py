"""Times every weighting of `pcgrad`: a call, and the tracing of the function that makes it.

    python benchmarks/steps/weighting_time.py   # writes results/weighting_time.json

One process on one core, CPU time; all weightings of one T take turns. A call is one of a compiled
`tf.function` on a Gram matrix of random gradients, less what a function costs that does nothing.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import pcgrad
from benchmarks.measuring import interleaved_seconds
from benchmarks.one_core import use_one_core
from pcgrad.weightings.weighting import ConfiguredWeighting, needs_losses

_RESULTS = pathlib.Path(__file__).parents[1] / "results" / "weighting_time.json"
# What has no default.
_ARGUMENTS: dict[str, dict[str, Any]] = {"PrimaryTask": {"task": 0}}
# Calls timed as one: the clock is coarse.
_CALLS = 20


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weightings", nargs="+", choices=weightings(), default=weightings())
    parser.add_argument("--tasks", nargs="+", type=int, default=[5, 20, 50])
    parser.add_argument("--jit", action="store_true", help="compile with XLA")
    parser.add_argument("--rounds", type=int, default=15, help="at least (default: 15)")
    parser.add_argument("--seconds", type=float, default=10, help="of CPU time, for more rounds")
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS, help="a JSON file")
    args = parser.parse_args()
    use_one_core()
    rows: list[dict[str, Any]] = []
    for tasks in args.tasks:
        rows += measure(args.weightings, tasks, args.jit, args.rounds, args.seconds)
        print(table(rows[-len(args.weightings) :]), flush=True)
    result = {"tensorflow": tf.__version__, "jit": args.jit, "rows": rows}
    args.output.write_text(json.dumps(result, indent=1) + "\n")


def weightings() -> list[str]:
    """The names of all classes in `pcgrad` whose instances are weightings."""
    classes = [(name, getattr(pcgrad, name)) for name in pcgrad.__all__]
    kinds = (ConfiguredWeighting, pcgrad.PCGrad, pcgrad.PPCGrad)
    return [
        name
        for name, cls in classes
        if inspect.isclass(cls) and issubclass(cls, kinds) and not inspect.isabstract(cls)
    ]


def measure(
    names: list[str], tasks: int, jit: bool, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Times weightings of one number of tasks; a row for each."""
    gradients = np.random.default_rng(tasks).normal(size=(tasks, 2 * tasks + 10))
    gramian = tf.constant(gradients @ gradients.T)
    losses = tf.constant(np.linspace(0.5, 2, tasks))
    step = tf.constant(3, tf.int64)

    def compiled(weigh: Callable[..., tf.Tensor]) -> tuple[Callable[[], None], float]:
        function = tf.function(weigh, autograph=False, jit_compile=jit)
        start = time.process_time()
        function(gramian, step, losses)
        trace = time.process_time() - start

        def calls() -> None:
            for _ in range(_CALLS):
                function(gramian, step, losses)

        return calls, trace

    steps, traces = {}, {}
    steps["nothing"], _ = compiled(lambda gramian, step, losses: gramian[0])
    for name in names:
        weighting = getattr(pcgrad, name)(**_ARGUMENTS.get(name, {}))
        if hasattr(weighting, "build"):
            weighting.build(tasks)
        steps[name], traces[name] = compiled(_caller(weighting))
    times = {
        name: 1e3 * statistics.median(values) / _CALLS
        for name, values in interleaved_seconds(steps, rounds, seconds).items()
    }
    return [
        {
            "weighting": name,
            "tasks": tasks,
            "milliseconds": times[name] - times["nothing"],
            "trace_seconds": traces[name],
        }
        for name in names
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| weighting | T | a call, ms | tracing, s |", "|---|---|---|---|"]
    for row in rows:
        numbers = f"{row['milliseconds']:.2f} | {row['trace_seconds']:.2f}"
        lines.append(f"| `{row['weighting']}` | {row['tasks']} | {numbers} |")
    return "\n".join(lines)


def _caller(weighting: Any) -> Callable[..., tf.Tensor]:
    if needs_losses(weighting):
        return weighting
    return lambda gramian, step, losses: weighting(gramian, step)


if __name__ == "__main__":
    main()
