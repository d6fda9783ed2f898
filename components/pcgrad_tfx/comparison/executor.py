"""Executor of Comparison."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pcgrad_tfx import component
from pcgrad_tfx.comparison.choice import choose, joined, methods_of
from pcgrad_tfx.comparison.methods import STATIC_WEIGHTS, Candidate, Family, families
from pcgrad_tfx.comparison.processes import Inputs, default_processes
from pcgrad_tfx.comparison.references import (
    ReferenceScore,
    best_linear,
    best_trees,
    reference_tasks,
)
from pcgrad_tfx.comparison.results import (
    EQUAL_WEIGHTS,
    ComparisonOutcome,
    Run,
    Trial,
    write_comparison,
)
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.comparison.trainings import Job
from pcgrad_tfx.comparison.work import Finished, Step, Work
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.config.training_config import TrainerConfig, trainer_config
from pcgrad_tfx.config.validation_messages import problem_lines
from pcgrad_tfx.data.example_files import check_whole, example_files
from pcgrad_tfx.evaluation.splits import EVAL, TEST, TRAIN, split_files
from pcgrad_tfx.training.checkpoints import checkpoint_folder

_SETTINGS_KEY = "comparison"

# Of the trainings of the search; no scored training has it, as there are at most 1,000 seeds.
_SEARCH_SEED = 1_000_000

# Of what the tasks do to each other the report shows one: that of the Trainer's surgery.
_PROBED = (EQUAL_WEIGHTS, "PCGrad", "PPCGrad")


class Executor(component.Executor):
    """Tunes every method, trains it with every seed, and writes down how each did."""

    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Runs the comparison, or what is left of an interrupted one.

        Nothing is chosen by the test split of `examples`.

        Raises:
            ValueError: The configuration is wrong, or a split is empty.
            FloatingPointError: Equal weights diverged with the configuration's own settings.
            RuntimeError: The system ended a process.
        """
        config, settings = parse_config(json.loads(properties["custom_config"]))
        _check_whole(inputs)
        given = Inputs.of(config, dict(inputs))
        trainings = given.prepared()
        rows = trainings.rows
        compared = families(settings, config)
        tried = _tried(compared)
        references = _references(given, settings)
        finished = Finished(_folder(config, inputs))
        total = len(tried) + len(references) + settings.seeds * len(compared)
        with Work(given, settings.jobs or default_processes(), finished, total) as work:
            found = work.do([*tried.values(), *references])
            trials = {key: found[step.key] for key, step in tried.items()}
            chosen = choose(compared, trials, config.tasks)
            scored = _scored(compared, chosen, settings.seeds, trainings.config.restore_best)
            runs = work.do(scored)
        together = [
            candidate
            for family, candidate in zip(compared, chosen, strict=True)
            # Static weights take plain steps.
            if family.task is None and family.method != STATIC_WEIGHTS
        ]
        comparison = ComparisonOutcome(
            metrics={task.name: task.primary_metric.name for task in config.tasks},
            methods=methods_of(compared, chosen),
            seeds=tuple(range(settings.seeds)),
            runs=joined([runs[step.key] for step in scored]),
            step_times=tuple(trainings.step_times(together, seed=0)),
            rows=rows,
            settings={
                **trainings.config.model_dump(
                    mode="json", exclude={"checkpoint_root", "code_version", "surgery", "seed"}
                ),
                _SETTINGS_KEY: settings.model_dump(mode="json", exclude_none=True),
            },
            search=settings.search,
            trials=_trials(compared, trials),
            references=_by_model(found[step.key] for step in references),
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
    try:
        settings.check(config.tasks, has_architecture=not config.model_fn)
    except ValueError as error:
        raise ValueError(f"{_SETTINGS_KEY}: {error}") from None
    return config.model_copy(update={"epochs": settings.epochs or config.epochs}), settings


def _check_whole(inputs: Artifacts) -> None:
    splits = [(inputs["transformed_examples"], split) for split in (TRAIN, EVAL)]
    splits.append((inputs["examples"], TEST))
    check_whole(example_files([file for split in splits for file in split_files(*split)]))


def _folder(config: TrainerConfig, inputs: Artifacts) -> str | None:
    """Where finished trainings are kept; those in it differ by candidate and seed only."""
    if not config.checkpoint_root:
        return None
    return checkpoint_folder(
        config.checkpoint_root,
        "comparison",
        config.model_dump(mode="json", exclude={"checkpoint_root", "surgery", "seed"}),
        {key: artifact.uri for key, artifact in inputs.items()},
    )


def _tried(compared: Sequence[Family]) -> dict[str, Step]:
    """The search's trainings, by the candidates' keys.

    Trial by trial, not family by family: so each stretch of the work takes about as long.
    """
    rounds = itertools.zip_longest(*(family.candidates for family in compared if family.has_choice))
    found = {}
    for candidate in itertools.chain.from_iterable(rounds):
        if candidate is not None:
            # Of static weights the picture shows what they reach.
            is_scored = candidate.method == STATIC_WEIGHTS
            job = Job(candidate, _SEARCH_SEED, is_trial=True, is_scored=is_scored)
            found[candidate.key] = _step(job)
    return found


def _scored(
    compared: Sequence[Family], chosen: Sequence[Candidate], seeds: int, keeps_best: bool
) -> list[Step]:
    """The trainings of all seeds, seed by seed."""
    return [
        _step(
            Job(
                candidate,
                seed,
                is_followed=keeps_best and family.task is None,
                is_probed=candidate.method in _PROBED,
            )
        )
        for seed in range(seeds)
        for family, candidate in zip(compared, chosen, strict=True)
    ]


def _references(inputs: Inputs, settings: ComparisonSettings) -> list[Step]:
    if not settings.reference:
        return []
    return [
        Step(
            f"{best.__name__}-{settings.search}-{number}",
            ReferenceScore,
            functools.partial(best, task, settings.search),
        )
        for number, task in enumerate(reference_tasks(inputs))
        for best in (best_trees, best_linear)
    ]


def _by_model(scores: Iterable[ReferenceScore]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for score in scores:
        found.setdefault(score.model, {})[score.task] = score.test
    return found


def _step(job: Job) -> Step:
    return Step(job.key, Run, functools.partial(_train, job))


def _train(job: Job, inputs: Inputs) -> Run:
    return inputs.prepared().run(job)


def _trials(compared: Sequence[Family], trials: Mapping[str, Run]) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            method=family.method,
            task=family.task,
            settings=candidate.settings,
            loss_weights=candidate.weights,
            eval=trials[candidate.key].eval,
            test=trials[candidate.key].test,
        )
        for family in compared
        if family.has_choice
        for candidate in family.candidates
    )
