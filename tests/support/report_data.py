"""What the Trainer and a comparison leave, made up: any number of tasks with any conflicts."""

import itertools
import json
import math

import numpy as np

from pcgrad_tfx.comparison.results import ComparisonOutcome, Method, Run, StepTime

METHODS = ("equal weights", "PCGrad", "PPCGrad", "static weights", "single task")
STEPS = 50  # of an epoch


def run_pairs(tasks, cosines, steps=600, blocks=30, error=0.01):
    """As `ConflictStatistics.run_pairs`; `cosines` in the order of the pairs, None if undefined."""
    errors = [None if cosine is None or blocks < 20 else error for cosine in cosines]
    return [
        {
            "tasks": list(pair),
            "steps": 0 if cosine is None else steps,
            "mean_cosine": cosine,
            "conflicting": None if cosine is None else min(1.0, max(0.0, 0.5 - cosine)),
            "blocks": blocks,
            "mean_cosine_standard_error_of_block_means": error,
            "conflicting_standard_error_of_block_means": error,
        }
        for pair, cosine, error in zip(
            itertools.combinations(tasks, 2), cosines, errors, strict=True
        )
    ]


def write_model_run(folder, tasks, cosines, *, epochs=12, blocks=30, settings=None):
    """Writes a Trainer's `model_run`; without `settings` as a Trainer that is not ours does."""
    draw = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    conflicts, history = [], []
    for epoch in range(epochs):
        noise = draw.normal(0, 0.03, len(cosines))
        means = [
            None if cosine is None else float(np.clip(cosine + n, -1, 1))
            for cosine, n in zip(cosines, noise, strict=True)
        ]
        pairs = run_pairs(tasks, means, steps=STEPS)
        keys = ("tasks", "steps", "mean_cosine", "conflicting")
        norms = {task: (i + 1) * math.exp(-epoch / 8) for i, task in enumerate(tasks)}
        line = {
            "epoch": epoch,
            "pairs": [{key: pair[key] for key in keys} for pair in pairs],
            "gradient_norms": norms if len(tasks) > 1 else {},
            "run_pairs": run_pairs(tasks, cosines, STEPS * (epoch + 1), blocks),
        }
        conflicts.append(json.dumps(line))
        losses = {f"{task}_loss": 0.3 + math.exp(-epoch / (3 + i)) for i, task in enumerate(tasks)}
        logs = {
            "loss": 1.0,
            "val_loss": 1.1,
            # The best one is the fifth.
            "val_gain": 0.5 - (epoch - 4) ** 2 / 100,
            **losses,
            **{f"val_{name}": 1.1 * x for name, x in losses.items()},
        }
        history.append(json.dumps({"epoch": epoch, "logs": logs}))
    (folder / "conflicts.jsonl").write_text("\n".join(conflicts) + "\n")
    if settings is not None:
        (folder / "history.jsonl").write_text("\n".join(history) + "\n")
        versions = {"tensorflow": "2.16.2", "Python": "3.10.13"}
        record = {"settings": settings, "rows": {"train": 8000}, "versions": versions}
        (folder / "training.json").write_text(json.dumps(record))
    return folder


def settings(tasks, **changes):
    """The Trainer's, as TrainingRecord writes them."""
    described = [
        {"name": task, "kind": "regression", "column": f"column of {task}", "loss_weight": 1.0}
        for task in tasks
    ]
    features = {"numeric": ["miles"], "categorical": ["company"], "vocabulary_size": 1000}
    common = {"surgery": "pcgrad", "epochs": 12, "seed": 3, "hidden_units": [64, 32]}
    return common | {"tasks": described, "features": features} | changes


def comparison(tasks, gain=0.02, cosines=None, seeds=5):
    """PCGrad and PPCGrad are better by `gain` on the first task."""
    draw = np.random.default_rng(2)
    runs = []
    for seed, method in itertools.product(range(seeds), METHODS):
        values = {task: 0.7 + 0.02 * seed + 0.002 * draw.normal() for task in tasks}
        values[tasks[0]] += gain if method in ("PCGrad", "PPCGrad") else 0
        pairs = ()
        if cosines is not None and method in ("PCGrad", "PPCGrad"):
            noisy = [cosine + draw.normal(0, 0.02) for cosine in cosines]
            pairs = run_pairs(tasks, noisy)
        on_eval = {task: value + 0.05 for task, value in values.items()}
        runs.append(Run(method=method, seed=seed, eval=on_eval, test=values, pairs=tuple(pairs)))
    weights = dict.fromkeys(tasks, 1.0)
    return ComparisonOutcome(
        metrics={task: ("auc", "r_squared")[i % 2] for i, task in enumerate(tasks)},
        methods=tuple(
            Method(name=name, loss_weights=weights if name == "static weights" else None)
            for name in METHODS
        ),
        seeds=tuple(range(seeds)),
        runs=tuple(runs),
        step_times=(
            StepTime(method="equal weights", ratio=1.0, low=1.0, high=1.0),
            StepTime(method="PCGrad", ratio=1.8, low=1.7, high=2.0),
            StepTime(method="PPCGrad", ratio=1.75, low=1.6, high=1.9),
        ),
        rows={"train": 8000, "eval": 1000, "test": 1000},
        settings={"epochs": 12},
    )
