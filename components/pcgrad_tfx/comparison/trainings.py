"""The trainings of a comparison."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras import MultiTaskModel, RaiseOnDivergence
from pcgrad_tfx.comparison.methods import Candidate, weighted
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, Improvement, Run, StepTime
from pcgrad_tfx.config.surgery import ONE_PASS, method_and_arguments
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.evaluation.scores import Scorer
from pcgrad_tfx.evaluation.splits import EVAL, TEST, TRAIN
from pcgrad_tfx.formatting import without_nan
from pcgrad_tfx.training.building import build, compile_model, weight_callbacks
from pcgrad_tfx.training.callbacks.best_epoch import BestEpoch
from pcgrad_tfx.training.callbacks.loss_ranges import loss_ranges
from pcgrad_tfx.training.inputs import TrainingInputs
from pcgrad_tfx.training.model import outputs_by_task

_WARM_UP, _ROUNDS = 5, 60


@dataclasses.dataclass(frozen=True)
class Job:
    """A training that is to be done.

    Attributes:
        candidate: What it does.
        seed: Of the initial weights and the order of the rows.
        is_trial: Whether it only has to show what its settings are worth: it waits half as long for
            a better epoch.
        is_scored: Whether the test split is looked at.
        is_followed: Whether it is known how good it was at which epoch.
        is_probed: Whether it is measured what the tasks do to each other.
    """

    candidate: Candidate
    seed: int
    is_trial: bool = False
    is_scored: bool = True
    is_followed: bool = False
    is_probed: bool = False

    @property
    def key(self) -> str:
        """What tells it from all others, in a file's name."""
        return f"{self.candidate.key}-{self.seed}"


class Trainings:
    """Trains candidates on the same data.

    Args:
        inputs: The training data, and how.
        train_files: File patterns of the training split.
        eval_files: File patterns of the eval split.
        test_split: The test split's batches.
    """

    def __init__(
        self,
        inputs: TrainingInputs,
        train_files: Sequence[str],
        eval_files: Sequence[str],
        test_split: tf.data.Dataset,
    ) -> None:
        self._inputs = inputs
        self._train_files = train_files
        self._eval_files = eval_files
        # What is trained is judged as it is trained, what is scored without the classes' weights.
        self._validation = inputs.data.batches(eval_files).cache()
        self._eval_split = inputs.data.with_factors({}).batches(eval_files).cache()
        self._test_split = test_split
        labels = [batch[1:] for batch in self._validation]
        self._loss_ranges = loss_ranges(inputs.config.tasks, inputs.statistics, labels)
        self._eval_steps = len(labels)

    @functools.cached_property
    def rows(self) -> dict[str, int]:
        """Number of rows of each split.

        Raises:
            ValueError: One is empty.
        """
        counts = {TRAIN: self._inputs.rows}
        for name, split in ((EVAL, self._validation), (TEST, self._test_split)):
            counts[name] = sum(len(next(iter(labels.values()))) for _, labels, *_ in split)
        for name, count in counts.items():
            if not count:
                raise ValueError(
                    f"comparison: split {name!r} is empty; add data or change the splits"
                )
        return counts

    @property
    def config(self) -> TrainerConfig:
        """The Trainer's configuration; what it left open is chosen."""
        return self._inputs.config

    def run(self, job: Job) -> Run:
        """Trains one candidate with one seed.

        All candidates of a seed begin with the same weights, and see the same batches.

        Raises:
            FloatingPointError: Equal weights diverged, with the settings of the configuration.
        """
        candidate = job.candidate
        model, tasks = self._compiled(candidate, job.seed)
        epochs = self._inputs.epochs
        batches = self._inputs.data.epochs(self._train_files, job.seed, 0, epochs)
        of_tasks = functools.partial(_of_tasks, tasks)
        names = {task.name for task in tasks}
        ranges = {name: found for name, found in self._loss_ranges.items() if name in names}
        patience = self.config.patience
        if job.is_trial:
            patience = math.ceil(patience / 2)
        best = BestEpoch(model, ranges, patience, self.config.restore_best)
        scorer = Scorer(model, tasks)
        way = _Way(best, scorer, self._test_split) if job.is_followed else None
        files = (self._train_files, self._eval_files)
        probe = self._inputs.conflict_probe(*files) if job.is_probed else None
        try:
            history = model.fit(
                batches.map(of_tasks),
                # Keras warns at the end of a dataset whose size it does not know.
                validation_data=self._validation.map(of_tasks).apply(
                    tf.data.experimental.assert_cardinality(self._eval_steps)
                ),
                epochs=epochs,
                steps_per_epoch=self._inputs.steps_per_epoch,
                callbacks=[
                    RaiseOnDivergence(),
                    # Judges an epoch after the best one is known, with the weights that it is of.
                    *weight_callbacks(self.config, best, way),
                    *([probe] if probe else []),
                ],
                # The reader does; Keras warns of its default.
                shuffle=False,
                verbose=0,
            )
        except FloatingPointError as error:
            if candidate.method == EQUAL_WEIGHTS and not candidate.settings:
                raise FloatingPointError(f"comparison, {EQUAL_WEIGHTS}: {error}") from None
            constant = {task.name: task.constant_value for task in tasks}
            return Run(
                method=candidate.method,
                seed=job.seed,
                eval=constant,
                test=constant if job.is_scored else {},
                diverged=True,
            )
        best.restore()
        return Run(
            method=candidate.method,
            seed=job.seed,
            eval=scorer.scores(self._eval_split),
            test=scorer.scores(self._test_split) if job.is_scored else {},
            epochs=len(history.epoch),
            improvements=tuple(way.improvements) if way else (),
            pairs=tuple(map(without_nan, model.conflicts(whole_run=True))),
            probes=(probe.summary() or None) if probe else None,
        )

    def step_times(self, candidates: Sequence[Candidate], seed: int) -> list[StepTime]:
        """Times steps on one batch, in turn, so that what disturbs one disturbs all.

        Args:
            candidates: What to time; equal weights are among them, with a plain step.
            seed: Of the initial weights.
        """
        batch = next(iter(self._inputs.data.epochs(self._train_files, seed, 0, 1)))
        steps = {}
        for candidate in candidates:
            model, _ = self._compiled(candidate, seed)
            steps[candidate.method] = tf.function(functools.partial(model.train_step, batch))
        seconds: dict[str, list[float]] = {method: [] for method in steps}
        for _ in range(_WARM_UP + _ROUNDS):
            for method, step in steps.items():
                begun = time.perf_counter()
                # Its values are there only when the step is done.
                tf.nest.map_structure(lambda value: value.numpy(), step())
                seconds[method].append(time.perf_counter() - begun)
        found = []
        for method, values in seconds.items():
            pairs = list(zip(values, seconds[EQUAL_WEIGHTS], strict=True))[_WARM_UP:]
            ratios = [value / equal for value, equal in pairs]
            low, _, high = statistics.quantiles(ratios, n=4)
            ratio = statistics.median(ratios)
            found.append(StepTime(method=method, ratio=ratio, low=low, high=high))
        return found

    def _compiled(self, candidate: Candidate, seed: int) -> tuple[MultiTaskModel, list[Task]]:
        keras.utils.clear_session()
        # Not 0, as in the Trainer.
        keras.utils.set_random_seed(seed + 1)
        update: dict[str, Any] = {"seed": seed, "surgery": candidate.surgery, **candidate.settings}
        if candidate.architecture is not None:
            update["architecture"] = candidate.architecture
        if method_and_arguments(candidate.surgery)[0] in ONE_PASS:
            # There is no Gram matrix that could be taken now and then, or in another way.
            update |= {"surgery_every": 1, "gramian": "tape"}
        config = self.config.model_copy(update=update)
        inputs = dataclasses.replace(self._inputs, config=config)
        model = build(inputs)
        tasks = weighted(config.tasks, candidate.weights)
        if candidate.task is not None:
            tasks = [task for task in tasks if task.name == candidate.task]
            if model.named_outputs():
                # The same network with the same weights, as far as the task needs it.
                output = outputs_by_task(model, model.output)[candidate.task]
                model = MultiTaskModel(model.input, {candidate.task: output})
            # A subclassed model cannot be cut: it computes the other tasks, which have no loss.
        compile_model(
            model,
            config,
            tasks,
            inputs.statistics,
            inputs.epochs * inputs.steps_per_epoch,
            # The scores are taken from predictions.
            with_metrics=False,
            steps_per_epoch=inputs.steps_per_epoch,
        )
        return model, tasks


class _Way(keras.callbacks.Callback):
    """Scores each epoch that is the best one so far, with the weights that it is judged by.

    Args:
        best: What judges; it comes before this callback.
        scorer: Of the model.
        batches: What it is scored on.
    """

    def __init__(self, best: BestEpoch, scorer: Scorer, batches: tf.data.Dataset) -> None:
        super().__init__()
        self._best = best
        self._scorer = scorer
        self._batches = batches
        self._running = 0
        self.improvements: list[Improvement] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch, which an evaluation does not know."""
        self._running = epoch

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Scores the epoch, if there was none better before."""
        if self._best.epoch == self._running:
            test = self._scorer.scores(self._batches)
            self.improvements.append(Improvement(epochs=self._running + 1, test=test))


def _of_tasks(
    tasks: Sequence[Task], features: Mapping[str, tf.Tensor], *by_task: Mapping[str, tf.Tensor]
) -> tuple[Mapping[str, tf.Tensor], ...]:
    """A batch with the labels, and the weights, of some tasks only."""
    return features, *({task.name: values[task.name] for task in tasks} for values in by_task)
