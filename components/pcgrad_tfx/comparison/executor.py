"""Executor of Comparison."""

from __future__ import annotations

import collections
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import tensorflow_transform as tft
from pydantic import ValidationError
from rich.progress import Progress

from pcgrad_tfx import component
from pcgrad_tfx.comparison.methods import SINGLE_TASK, STATIC_WEIGHTS, Candidate, candidates
from pcgrad_tfx.comparison.results import ComparisonOutcome, Method, Run, write_comparison
from pcgrad_tfx.comparison.runs import FinishedRuns, Trainings
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.comparison.splits import EVAL, TEST, TRAIN, read_test_split, split_files
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig, trainer_config
from pcgrad_tfx.config.validation_messages import problem_lines
from pcgrad_tfx.data.example_files import check_whole, example_files
from pcgrad_tfx.training.checkpoints import checkpoint_folder
from pcgrad_tfx.training.inputs import read_inputs

_SETTINGS_KEY = "comparison"


class Executor(component.Executor):
    """Trains every method with every seed, and writes down how each did."""

    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Runs the comparison, or what is left of an interrupted one.

        Of the test split of `examples` nothing but scores is taken.

        Raises:
            ValueError: The configuration is wrong, or a split is empty.
            FloatingPointError: A training diverged.
        """
        config, settings = parse_config(json.loads(properties["custom_config"]))
        trainings, rows = _prepare(config, inputs)
        todo = candidates(settings, config.tasks)
        folder = None
        if config.checkpoint_root:
            # Not what changes no single training: more seeds go on from those that are there.
            cache_key = (
                config.model_dump(mode="json", exclude={"checkpoint_root", "surgery", "seed"}),
                settings.model_dump(mode="json", exclude={"seeds", "epochs"}),
                {key: artifact.uri for key, artifact in inputs.items()},
            )
            folder = checkpoint_folder(config.checkpoint_root, "comparison", *cache_key)
        finished = FinishedRuns(folder)
        runs = _train(trainings, todo, settings.seeds, finished)
        joint = [c for c in todo if c.weights is None and c.task is None]
        methods, kept = _choose(todo, runs, config.tasks)
        comparison = ComparisonOutcome(
            metrics={task.name: task.primary_metric.name for task in config.tasks},
            methods=methods,
            seeds=tuple(range(settings.seeds)),
            runs=kept,
            step_times=tuple(trainings.step_times(joint, seed=0)),
            rows=rows,
            settings={
                **trainings.config.model_dump(
                    mode="json", exclude={"checkpoint_root", "code_version", "surgery", "seed"}
                ),
                _SETTINGS_KEY: settings.model_dump(mode="json", exclude_none=True),
            },
        )
        write_comparison(comparison, outputs["comparison"].uri)
        finished.delete()


def parse_config(custom_config: Mapping[str, Any]) -> tuple[TrainerConfig, ComparisonSettings]:
    """Reads and checks what the component was given.

    Args:
        custom_config: The keys of the Trainer's `custom_config`, and `comparison`.

    Raises:
        ValueError: A line for each mistake.
    """
    given = dict(custom_config)
    try:
        settings = ComparisonSettings.model_validate(given.pop(_SETTINGS_KEY, {}))
    except ValidationError as error:
        lines = problem_lines(error, ComparisonSettings)
        raise ValueError("\n".join(f"{_SETTINGS_KEY}: {line}" for line in lines)) from None
    config = trainer_config(given)
    settings.grid(config.tasks)
    return config.model_copy(update={"epochs": settings.epochs or config.epochs}), settings


def _prepare(config: TrainerConfig, inputs: Artifacts) -> tuple[Trainings, dict[str, int]]:
    tft_output = tft.TFTransformOutput(inputs["transform_graph"].uri)
    transformed = inputs["transformed_examples"]
    train_files = split_files(transformed, TRAIN)
    eval_files = split_files(transformed, EVAL)
    others = [*eval_files, *split_files(inputs["examples"], TEST)]
    check_whole(example_files([*train_files, *others]))
    found = read_inputs(config, tft_output, train_files)
    # Small beside the training split, and read once for every run. Classes count as they are.
    test_split = read_test_split(
        inputs["examples"], tft_output, found.data.with_factors({})
    ).cache()
    counts = {TRAIN: found.rows}
    for name, split in ((EVAL, found.data.batches(eval_files)), (TEST, test_split)):
        counts[name] = sum(len(next(iter(labels.values()))) for _, labels, *_ in split)
    for name, count in counts.items():
        if not count:
            raise ValueError(f"comparison: split {name!r} is empty; add data or change the splits")
    return Trainings(found, train_files, eval_files, test_split), counts


def _train(
    trainings: Trainings, todo: Sequence[Candidate], seeds: int, finished: FinishedRuns
) -> dict[tuple[int, int], Run]:
    runs = {}
    begun = time.monotonic()
    # Seed by seed, so that early results are complete.
    order = [(index, seed) for seed in range(seeds) for index in range(len(todo))]
    watched = sys.stdout.isatty()
    # Standard error is a log's, which rich would bring to the terminal.
    progress = Progress(transient=True, redirect_stderr=False, disable=not watched)
    with progress:
        for index, seed in progress.track(order, description="  Trainings"):
            run = finished.read(index, seed)
            if run is None:
                run = trainings.run(todo[index], seed)
                finished.write(index, seed, run)
            runs[index, seed] = run
            if not watched and index == len(todo) - 1:
                seconds = time.monotonic() - begun
                print(
                    f"Comparison: {len(runs)} of {len(order)} trainings, {seconds:.0f} s",
                    flush=True,
                )
    return runs


def _choose(
    todo: Sequence[Candidate], runs: Mapping[tuple[int, int], Run], tasks: Sequence[Task]
) -> tuple[tuple[Method, ...], tuple[Run, ...]]:
    """One run of each method and seed: the best static weights, the single tasks together."""
    by_candidate: dict[int, list[Run]] = collections.defaultdict(list)
    for (index, _), run in sorted(runs.items()):
        by_candidate[index].append(run)
    methods, kept = [], []
    grid = [index for index, candidate in enumerate(todo) if candidate.method == STATIC_WEIGHTS]
    best = max(grid, key=lambda index: _gain_on_eval(by_candidate[index], tasks), default=None)
    for index, candidate in enumerate(todo):
        if candidate.method == SINGLE_TASK or (index in grid and index != best):
            continue
        weights = dict(candidate.weights) if candidate.weights else None
        methods.append(Method(name=candidate.method, loss_weights=weights))
        kept += by_candidate[index]
    alone = [index for index, candidate in enumerate(todo) if candidate.method == SINGLE_TASK]
    if alone:
        methods.append(Method(name=SINGLE_TASK))
        kept += [
            Run(
                method=SINGLE_TASK,
                seed=of_seed[0].seed,
                eval={name: value for run in of_seed for name, value in run.eval.items()},
                test={name: value for run in of_seed for name, value in run.test.items()},
            )
            for of_seed in zip(*(by_candidate[index] for index in alone), strict=True)
        ]
    return tuple(methods), tuple(kept)


def _gain_on_eval(runs: Sequence[Run], tasks: Sequence[Task]) -> float:
    """Mean over tasks and seeds: 0 for a constant prediction, 1 for a perfect one.

    Of the metrics themselves there is no mean: 0.01 of AUC is another thing than 0.01 of R².
    """
    gains = [
        (value - task.constant_value) / (1 - task.constant_value)
        for run in runs
        for task in tasks
        if (value := run.eval[task.name]) is not None
    ]
    return fmean(gains) if gains else -math.inf
