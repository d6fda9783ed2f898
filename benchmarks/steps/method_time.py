"""Times training steps by method, as multiples of a step on the plain sum of the losses.

Also with a Gram matrix at the features, and with one in every k-th step only (`surgery_every`). One
process on one core, CPU time; all take turns, and the median of the ratios within a round is
reported.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks.measuring import interleaved_seconds, median_ratio
from benchmarks.one_core import use_one_core
from benchmarks.steps.networks import NETWORKS
from benchmarks.steps.plain_path import make_step
from pcgrad.keras import MultiTaskModel
from pcgrad.methods import METHODS

_AT_FEATURES = 'pcgrad, gramian = "features"'
_RESULTS = pathlib.Path(__file__).parents[1] / "results"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["a", "b"])
    parser.add_argument("--tasks", nargs="+", type=int, default=[5, 20])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--every", nargs="*", type=int, default=[2, 5, 10, 25])
    parser.add_argument("--gramian", default="tape")
    parser.add_argument("--rounds", type=int, default=9, help="at least (default: 9)")
    parser.add_argument("--seconds", type=float, default=20, help="of CPU time for more rounds")
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    args = parser.parse_args()
    use_one_core()
    rows = []
    for network in args.networks:
        for tasks in args.tasks:
            step_of = functools.partial(make_step, MultiTaskModel, network, tasks)
            steps = {"plain": step_of()}
            for method in args.methods:
                arguments = {"task": 0} if method == "primary_task" else {}
                surgery = {"method": method, **arguments}
                steps[method] = step_of(surgery=surgery, gramian=args.gramian)
            steps[_AT_FEATURES] = step_of(surgery="pcgrad", gramian="features")
            times = interleaved_seconds(steps, args.rounds, args.seconds)
            plain = times.pop("plain")
            ratios = {name: median_ratio(found, plain) for name, found in times.items()}
            for every in args.every:
                kept = step_of(surgery="pcgrad", gramian=args.gramian, surgery_every=every)
                # From one Gram matrix to the next.
                turns = {"kept": _several(kept, every), "plain": _several(step_of(), every)}
                times = interleaved_seconds(turns, args.rounds, args.seconds / 4)
                name = f"pcgrad, surgery_every = {every}"
                ratios[name] = median_ratio(times["kept"], times["plain"])
            rows.append({"network": network, "tasks": tasks, "ratios": ratios})
            print(markdown(rows[-1:]), flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    result = {"tensorflow": tf.__version__, "gramian": args.gramian, "rows": rows}
    (args.output / "method_time.json").write_text(json.dumps(result, indent=1) + "\n")


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table for docs/methods.md: a row for each method, a column for each network."""
    heads = [f"{row['network']}, T = {row['tasks']}" for row in rows]
    lines = [["method", *heads], ["---", *("---:" for _ in heads)]]
    for name in rows[0]["ratios"]:
        lines.append([f"`{name}`", *(f"{row['ratios'][name]:.2f}" for row in rows)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _several(step: Callable[[], Any], count: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            step()

    return run


if __name__ == "__main__":
    main()
