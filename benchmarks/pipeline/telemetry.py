"""What following the conflicts costs: a step of `fit` with it, divided by the same without."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import statistics
from collections.abc import Callable
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import rich.box
import rich.console
import rich.table
import tensorflow as tf

from benchmarks.measuring import interleaved_seconds, median_ratio
from benchmarks.one_core import use_one_core
from benchmarks.steps.networks import NETWORKS
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel
from pcgrad.keras.conflict_statistics import ConflictStatistics

_RESULTS = pathlib.Path(__file__).parents[1] / "results"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["a", "b", "d"])
    parser.add_argument("--tasks", nargs="+", type=int, default=[3, 20])
    parser.add_argument("--rounds", type=int, default=50, help="at least (default: 50)")
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    args = parser.parse_args()
    use_one_core()
    rows = [_row(n, tasks, args.rounds) for n in args.networks for tasks in args.tasks]
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("network", "T", "step, ms", "with ÷ without"):
        table.add_column(heading, justify="right")
    for row in rows:
        milliseconds, ratio = f"{row['milliseconds']:.2f}", f"{row['ratio']:.3f}"
        table.add_row(row["network"], str(row["tasks"]), milliseconds, ratio)
    rich.console.Console().print(table)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "telemetry.json").write_text(json.dumps(rows, indent=1) + "\n")


def _row(network: str, tasks: int, rounds: int) -> dict[str, Any]:
    steps = {
        name: _step(network, tasks, with_it)
        for name, with_it in (("without", False), ("with", True))
    }
    # As often as it takes for the first blocks of steps to grow long, as they are in training.
    for _ in range(100 if network == "a" else 0):
        steps["with"]()
    times = interleaved_seconds(steps, rounds, 20)
    return {
        "network": network,
        "tasks": tasks,
        "rounds": len(times["with"]),
        "milliseconds": 1e3 * statistics.median(times["without"]),
        "ratio": median_ratio(times["with"], times["without"]),
    }


def _step(network: str, tasks: int, with_statistics: bool) -> Callable[[], Any]:
    """One step of `fit`, as Keras compiles it."""
    problem = NETWORKS[network].build(tasks)
    names = [str(task) for task in range(tasks)]
    outputs = dict(zip(names, problem.model.outputs, strict=True))
    model = MultiTaskModel(problem.model.inputs, outputs)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("sgd", dict.fromkeys(names, loss), surgery=PCGrad("sum", seed=0))
    labels = {name: problem.labels[:, i : i + 1] for i, name in enumerate(names)}
    batch = (tuple(problem.inputs), labels)
    batches = iter(tf.data.Dataset.from_tensors(batch).cache().repeat())
    model.make_train_function()
    train = model.train_function
    with contextlib.ExitStack() as stack:
        if not with_statistics:
            nothing = mock.patch.object(ConflictStatistics, "update_state")
            stack.enter_context(nothing)
        train(batches)
    return lambda: train(batches)


if __name__ == "__main__":
    main()
