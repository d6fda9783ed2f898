"""Compares what probes say of the tasks with the gradients on 300,000 fresh rows.

Trains small networks on tables whose truth is known. At each probe's weights the tasks' gradients
are taken on fresh rows, too: what the probes estimate, known almost without noise. Beside it the
mean cosine of the training's own batches.

    python -m benchmarks.conflict.probes trainings
    python -m benchmarks.conflict.probes coverage
    python -m benchmarks.conflict.probes nulls

`coverage` draws the probes of 400 trainings anew, at the weights of one, and counts how often the
95% intervals hold the truth. `nulls` trains each of 20 tables of two tasks that have nothing in
common but the noise of their labels with several seeds, and counts the verdicts over seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.conflict.problems import PROBLEMS, Array, Problem, draw, make_model
from pcgrad import Probe, summarize_probes
from pcgrad.keras import ConflictProbe, MultiTaskModel
from pcgrad.probe_statistics import probe_statistics
from pcgrad_tfx.conflict_report.probes import Probes, over_seeds
from pcgrad_tfx.conflict_report.verdicts import judge

_RESULTS = pathlib.Path(__file__).parents[1] / "results"

_ROWS, _FRESH_ROWS, _FRESH_BATCH = 4800, 300_000, 50_000
_PASSES = 24
_REPETITIONS = 400
_PROBES, _CHUNKS = 20, 16
_TRAINED_STEPS = 300


class _Fresh(keras.callbacks.Callback):
    """Takes the gradients on fresh rows wherever a probe is taken."""

    def __init__(self, problem: Problem, probe: ConflictProbe) -> None:
        super().__init__()
        self._rows = draw(problem, _FRESH_ROWS, np.random.default_rng(10**6))
        self._probe = probe
        self._products: dict[int, Any] = {}

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After the probe, which is earlier in the list of callbacks."""
        steps = [probe.step for probe in self._probe.probes]
        if steps[-1] not in self._products:
            self._products[steps[-1]] = fresh_products(self.model, self._rows)

    def of(self, probes: Sequence[Probe]) -> list[Any]:
        """The products at the weights of some probes."""
        return [self._products[probe.step] for probe in probes]


def fresh_products(model: MultiTaskModel, rows: tuple[Array, Mapping[str, Array]]) -> Any:
    """[T, T], the inner products of the tasks' gradients, by shared variables."""
    features, labels = rows
    totals: Any = 0.0
    for first in range(0, len(features), _FRESH_BATCH):
        part = slice(first, first + _FRESH_BATCH)
        given = [labels[task][part] for task in labels]
        totals += _gradients(model)(features[part], given).numpy()
    totals /= -(-len(features) // _FRESH_BATCH)
    return totals @ totals.T


def _gradients(model: MultiTaskModel) -> Any:
    """A function of rows and labels: [T, n], gradients of the mean squared errors."""
    if not hasattr(model, "fresh_gradients"):

        def of_rows(features: tf.Tensor, labels: Sequence[tf.Tensor]) -> tf.Tensor:
            shared = [variable.value for variable in model.trainable_variables[:4]]
            with tf.GradientTape(persistent=True) as tape:
                outputs = model(features, training=False)
                losses = [
                    _mean_squared_error(label, outputs[task])
                    for task, label in zip(outputs, labels, strict=True)
                ]
            return tf.stack(
                [
                    tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, shared)], 0)
                    for loss in losses
                ]
            )

        model.fresh_gradients = tf.function(of_rows)
    return model.fresh_gradients


def _mean_squared_error(label: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    known = ~tf.math.is_nan(label)
    errors = tf.where(known, output - tf.where(known, label, 0.0), 0.0)
    return tf.math.divide_no_nan(
        tf.reduce_sum(errors**2), tf.reduce_sum(tf.cast(known, tf.float32))
    )


def truth_of(
    probes: Sequence[Probe], products: Sequence[Any], tasks: Sequence[str]
) -> dict[str, Any]:
    """The summary that the probes would give without noise, from products [T, T] for each."""
    exact = [
        dataclasses.replace(
            probe,
            gramian=np.broadcast_to(
                (product / np.outer(probe.lengths, probe.lengths))[:, np.newaxis, :],
                probe.gramian.shape,
            ),
        )
        for probe, product in zip(probes, products, strict=True)
    ]
    return summarize_probes(exact, tasks)


def trained(name: str, batch: int, seed: int, is_held_out: bool) -> list[dict[str, Any]]:
    """Trains once; for each pair of tasks what was said, and what is true.

    Args:
        name: Of the problem.
        batch: Rows of a batch, and of a chunk.
        seed: Of the rows and of the initial weights.
        is_held_out: Whether the probes take rows that the network is not trained on.
    """
    problem = PROBLEMS[name]
    features, labels = draw(problem, _ROWS, np.random.default_rng(seed))
    model = make_model(problem, seed)
    model.follows_conflicts = True
    held_out = draw(problem, _ROWS, np.random.default_rng(1000 + seed))
    rows = held_out if is_held_out else (features, labels)
    probe = ConflictProbe(*rows, chunk_rows=batch, seed=seed)
    fresh = _Fresh(problem, probe)
    model.fit(
        features, labels, batch_size=batch, epochs=_PASSES, verbose=0, callbacks=[probe, fresh]
    )
    found = probe.summary()
    tasks = list(problem.levels)
    truth = truth_of(probe.probes, fresh.of(probe.probes), tasks)
    pairs = itertools.combinations(range(len(tasks)), 2)
    return [
        {
            "problem": name,
            "batch": batch,
            "seed": seed,
            "held_out": is_held_out,
            "tasks": [tasks[i], tasks[j]],
            "batch_cosine": batches["mean_cosine"],
            "cosine": pair["cosine"],
            "true_cosine": true["cosine"]["value"],
            "kept": [found["tasks"][tasks[k]]["kept"] for k in (i, j)],
            "true_kept": [truth["tasks"][tasks[k]]["kept"]["value"] for k in (i, j)],
        }
        for (i, j), pair, true, batches in zip(
            pairs, found["pairs"], truth["pairs"], model.conflicts(whole_run=True), strict=True
        )
    ]


def covered(name: str, chunk_rows: int, repetitions: int) -> dict[str, Any]:
    """Probes of many trainings at the weights of one, on rows that none has trained on."""
    problem = PROBLEMS[name]
    tasks = list(problem.levels)
    generator = np.random.default_rng(5)
    model = make_model(problem, 0)
    features, labels = draw(problem, _ROWS, generator)
    epochs = -(-_TRAINED_STEPS * 32 // _ROWS)
    model.fit(features, labels, batch_size=32, epochs=epochs, verbose=0)
    products = fresh_products(model, draw(problem, 10 * _FRESH_ROWS, generator))

    @tf.function
    def of_chunks(features: tf.Tensor, labels: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.vectorized_map(lambda chunk: _gradients(model)(*chunk), (features, labels))

    hits = {"cosine": 0, "kept": 0}
    told = dict.fromkeys(hits, 0)
    errors: dict[str, list[float]] = {key: [] for key in hits}
    for _ in range(repetitions):
        features, labels = draw(problem, _PROBES * _CHUNKS * chunk_rows, generator)
        shape = (_PROBES * _CHUNKS, chunk_rows)
        gradients = of_chunks(
            features.reshape(*shape, -1), [labels[task].reshape(*shape, 1) for task in tasks]
        ).numpy()
        probes = [
            probe_statistics(
                np.einsum("kin,ljn->kilj", part, part), np.ones(len(tasks)), None, step, chunk_rows
            )
            for step, part in enumerate(np.split(gradients.astype(float), _PROBES))
        ]
        found = summarize_probes(probes, tasks)
        truth = truth_of(probes, [products] * _PROBES, tasks)
        for key, estimate, true in (
            ("cosine", found["pairs"][0]["cosine"], truth["pairs"][0]["cosine"]["value"]),
            ("kept", found["tasks"][tasks[0]]["kept"], truth["tasks"][tasks[0]]["kept"]["value"]),
        ):
            if estimate["value"] is not None:
                told[key] += 1
                hits[key] += estimate["low"] <= true <= estimate["high"]
                errors[key].append(estimate["value"] - true)
    return {
        "problem": name,
        "chunk_rows": chunk_rows,
        "repetitions": repetitions,
        "told": told,
        "coverage": {key: hits[key] / told[key] if told[key] else None for key in hits},
        "error": {
            key: float(np.mean(values)) if values else None for key, values in errors.items()
        },
        "true": {
            "cosine": truth["pairs"][0]["cosine"]["value"],
            "kept": truth["tasks"][tasks[0]]["kept"]["value"],
        },
    }


def judged(name: str, batch: int, table: int, seeds: Sequence[int]) -> dict[str, Any]:
    """The report's verdicts over several trainings on one table."""
    problem = PROBLEMS[name]
    features, labels = draw(problem, _ROWS, np.random.default_rng(100 + table))
    runs = []
    for seed in seeds:
        keras.utils.clear_session()
        model = make_model(problem, 1000 * table + seed)
        probe = ConflictProbe(features, labels, chunk_rows=batch, seed=seed)
        model.fit(features, labels, batch_size=batch, epochs=_PASSES, verbose=0, callbacks=[probe])
        runs.append(Probes.model_validate(probe.summary()))
    found = judge(over_seeds(runs), (), over_seeds=True)
    return {
        "problem": name,
        "batch": batch,
        "table": table,
        "seeds": len(seeds),
        "tasks": [finding.verdict for finding in found.tasks],
        "pairs": [finding.verdict for finding in found.pairs],
        "cosines": [run.pairs[0].cosine.value for run in runs],
    }


def main() -> None:
    """Runs one of the parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["trainings", "coverage", "nulls"])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--repetitions", type=int, default=_REPETITIONS)
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    parser.add_argument(
        "--held-out", action="store_true", help="of `trainings`: probes on rows of their own"
    )
    parser.add_argument("--tables", type=int, default=20, help="of `nulls` (default: 20)")
    args = parser.parse_args()
    lines: list[dict[str, Any]] = []
    for name, batch in itertools.product(args.problems, args.batches):
        if args.part == "coverage":
            lines.append(covered(name, batch, args.repetitions))
            print(json.dumps(lines[-1]), flush=True)
            continue
        if args.part == "nulls":
            for table in range(args.tables):
                lines.append(judged(name, batch, table, args.seeds))
                print(json.dumps(lines[-1]), flush=True)
            continue
        for seed in args.seeds:
            keras.utils.clear_session()
            lines += trained(name, batch, seed, args.held_out)
            print(json.dumps(lines[-1]), flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    suffix = "_held_out" if args.held_out else ""
    path = args.output / f"probes_{args.part}{suffix}.json"
    path.write_text(json.dumps({"tensorflow": tf.__version__, "rows": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
