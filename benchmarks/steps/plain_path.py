"""Times a step of `MultiTaskModel` without surgery, and one of `keras.Model` on the same network.

Both as `fit` takes them: compiled losses, means of the losses, batches of unknown size. One process
on one core, CPU time; the two take turns, and the median of the ratios within a round is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks.measuring import interleaved_seconds, median_ratio
from benchmarks.one_core import use_one_core
from benchmarks.steps.networks import NETWORKS
from pcgrad.keras import MultiTaskModel

_RESULTS = pathlib.Path(__file__).parents[1] / "results"
_HEADINGS = ("network", "T", "`keras.Model`, ms", "`surgery=None`, ms", "ratio")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["a", "b", "c", "d"])
    parser.add_argument("--tasks", nargs="+", type=int, default=[2, 10, 40])
    parser.add_argument("--rounds", type=int, default=15, help="at least (default: 15)")
    parser.add_argument(
        "--seconds", type=float, default=10, help="of CPU time to fill with more rounds"
    )
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    args = parser.parse_args()
    use_one_core()
    rows = []
    for network in args.networks:
        for tasks in args.tasks:
            steps = {
                "keras": make_step(keras.Model, network, tasks),
                "none": make_step(MultiTaskModel, network, tasks),
            }
            times = interleaved_seconds(steps, args.rounds, args.seconds)
            rows.append(
                {
                    "network": network,
                    "tasks": tasks,
                    "rounds": len(times["none"]),
                    "milliseconds": {k: 1e3 * statistics.median(v) for k, v in times.items()},
                    "ratio": median_ratio(times["none"], times["keras"]),
                }
            )
            print(markdown(rows[-1:]).splitlines()[-1], flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    result = {"tensorflow": tf.__version__, "rows": rows}
    (args.output / "plain_path.json").write_text(json.dumps(result, indent=1) + "\n")


def make_step(
    cls: type[keras.Model], network: str, tasks: int, **settings: Any
) -> Callable[[], dict[str, Any]]:
    """A training step on one batch, as a function of no arguments.

    Args:
        cls: `keras.Model` or `MultiTaskModel`.
        network: A key of `NETWORKS`.
        tasks: The number of tasks.
        **settings: Of `compile`.
    """
    problem = NETWORKS[network].build(tasks)
    names = [f"task_{index}" for index in range(tasks)]
    model = cls(problem.model.inputs, dict(zip(names, problem.model.outputs, strict=True)))
    model.compile(
        keras.optimizers.SGD(1e-4),
        loss={name: keras.losses.BinaryCrossentropy(from_logits=True) for name in names},
        jit_compile=False,
        **settings,
    )
    model.optimizer.build(model.trainable_variables)
    labels = {name: problem.labels[:, i : i + 1] for i, name in enumerate(names)}
    inputs = problem.inputs if len(problem.inputs) > 1 else problem.inputs[0]

    def of_unknown_size(value: tf.Tensor) -> tf.TensorSpec:
        return tf.TensorSpec([None, *value.shape[1:]], value.dtype)

    signature = tf.nest.map_structure(of_unknown_size, (inputs, labels))

    @tf.function(autograph=False, input_signature=signature)
    def step(x: Any, y: Any) -> dict[str, Any]:
        return model.train_step((x, y))

    return lambda: step(inputs, labels)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table for docs/performance.md."""
    cells = [
        (
            row["network"],
            str(row["tasks"]),
            f"{row['milliseconds']['keras']:.1f}",
            f"{row['milliseconds']['none']:.1f}",
            f"{row['ratio']:.2f}",
        )
        for row in rows
    ]
    lines = [_HEADINGS, ("---", *("---:" for _ in _HEADINGS[1:])), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
