"""What the Trainer and a comparison leave, made up: any number of tasks with any conflicts."""

import itertools
import json
import math

import numpy as np

from pcgrad_tfx.comparison.results import (
    LINEAR,
    TREES,
    ComparisonOutcome,
    Improvement,
    Method,
    Run,
    StepTime,
    Trial,
)

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


def estimate(value, half=0.05, limit=math.inf):
    """With an interval; without one if `half` is None."""
    if value is None or half is None:
        return {"value": value, "low": None, "high": None}
    low, high = max(-limit, value - half), min(limit, value + half)
    return {"value": value, "low": low, "high": high}


def probes(tasks, cosines, *, half=0.05, noise=(), control=0.3, surgery=True, points=8):
    """As `ConflictProbe` summarizes a training, in which pairs pull apart more and more.

    A task gives to each other one, or takes from it, 0.4 times the cosine of its own progress.

    Args:
        tasks: The names.
        cosines: In the order of the pairs; None if undefined.
        half: Half the width of the intervals; None without.
        noise: The tasks whose gradients cannot be measured.
        control: How often the gradients of one and the same task oppose each other.
        surgery: Whether the training had one: it halves the losses.
        points: Of the course.
    """
    pairs = dict(zip(map(frozenset, itertools.combinations(tasks, 2)), cosines, strict=True))
    known = {pair: None if pair & set(noise) else cosine for pair, cosine in pairs.items()}
    of_tasks = {}
    for task in tasks:
        others = [other for other in tasks if other != task]
        shares = {other: pairs[frozenset((task, other))] for other in others}
        shares = {
            other: None if x is None or task in noise else 0.4 * x for other, x in shares.items()
        }
        kept = None if task in noise else 1 + sum(x for x in shares.values() if x is not None)
        with_surgery = None if kept is None else (1 + kept) / 2
        of_tasks[task] = {
            "kept": estimate(kept, half),
            "kept_with_surgery": estimate(with_surgery, half) if surgery else None,
            "from_others": {other: estimate(x, half) for other, x in shares.items()},
            "signal_share": None if kept is None else 0.04,
            "noise_scale": None if kept is None else 3140.0,
            "is_noise": kept is None,
            "opposed_to_itself": control,
        }

    def cosine(value, x):
        return estimate(None if value is None else value - x, half, limit=1)

    def of_pair(pair):
        own, value = pairs[frozenset(pair)], known[frozenset(pair)]
        steps = range(50, 100 * points, 100)
        drift = np.linspace(-0.2, 0.2, points)
        return {
            "tasks": list(pair),
            "cosine": cosine(value, 0),
            "opposed": None if own is None else min(1.0, max(0.0, 0.5 - (value or 0.0))),
            "thirds": [cosine(value, x) for x in (-0.2, 0, 0.2)],
            "trend": estimate(None if value is None else -0.4, half),
            "course": [
                {"step": step, "cosine": cosine(value, x)}
                for step, x in zip(steps, drift, strict=True)
            ],
        }

    return {
        "probes": 24,
        "first_step": 0,
        "last_step": 100 * points,
        "rows": 2048,
        "chunk_rows": 128,
        "tasks": of_tasks,
        "pairs": [of_pair(pair) for pair in itertools.combinations(tasks, 2)],
    }


def write_model_run(folder, tasks, cosines, *, epochs=12, blocks=30, settings=None, probed=None):
    """Writes a Trainer's `model_run`.

    Args:
        folder: Made if missing.
        tasks: The names.
        cosines: In the order of the pairs; None if undefined.
        epochs: How many lines there are.
        blocks: Of the training's steps.
        settings: Without them as a Trainer that is not ours does.
        probed: What its probes found; `{}` for a training without, by default what `probes` gives.
    """
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
            "probes": probes(tasks, cosines) if probed is None else probed or None,
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


def comparison(
    tasks, gain=0.02, cosines=None, seeds=5, spread=0.02, noise=(), probed_methods=METHODS[:3],
    tuned=False,
):  # fmt: skip
    """PCGrad and PPCGrad are better by `gain` on the first task.

    With `cosines` some methods' trainings were probed; seeds differ by `spread`. If tuned, 8
    settings were tried for each method, and there are other models.
    """
    draw = np.random.default_rng(2)
    runs = []
    for seed, method in itertools.product(range(seeds), METHODS):
        values = {task: 0.7 + 0.02 * seed + 0.002 * draw.normal() for task in tasks}
        values[tasks[0]] += gain if method in ("PCGrad", "PPCGrad") else 0
        probed = None
        if cosines is not None and method in probed_methods:
            noisy = [None if x is None else x + draw.normal(0, spread) for x in cosines]
            probed = probes(tasks, noisy, noise=noise)
        on_eval = {task: value + 0.05 for task, value in values.items()}
        way = {"epochs": 12, "improvements": [Improvement(epochs=e, test=values) for e in (2, 9)]}
        runs.append(Run(method=method, seed=seed, eval=on_eval, test=values, probes=probed, **way))
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
        **(_of_a_search(tasks) if tuned else {}),
    )


def _of_a_search(tasks):
    draw = np.random.default_rng(3)

    def near(value):
        return {task: value + 0.02 * draw.normal() for task in tasks}

    trials = [
        Trial(
            method=method, settings={"learning_rate": 0.001 * k}, eval=near(0.7),
            test=near(0.7) if method == "static weights" else {},
        )
        for method in METHODS
        for k in range(8)
    ]  # fmt: skip
    references = {TREES: near(0.75), LINEAR: near(0.6)}
    return {"search": 8, "trials": tuple(trials), "references": references}
