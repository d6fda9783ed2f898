"""The trainings of a comparison, each of which is kept as soon as it is finished."""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from pcgrad.keras import MultiTaskModel, RaiseOnDivergence
from pcgrad_tfx.comparison.methods import Candidate, weighted
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, Run, StepTime
from pcgrad_tfx.comparison.scores import score
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.formatting import without_nan
from pcgrad_tfx.training.building import build, compile_model, weight_callbacks
from pcgrad_tfx.training.callbacks.best_epoch import BestEpoch
from pcgrad_tfx.training.callbacks.loss_ranges import loss_ranges
from pcgrad_tfx.training.inputs import TrainingInputs
from pcgrad_tfx.training.model import outputs_by_task

_WARM_UP, _ROUNDS = 5, 60


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

    @property
    def config(self) -> TrainerConfig:
        """The Trainer's configuration; what it left open is chosen."""
        return self._inputs.config

    def run(self, candidate: Candidate, seed: int) -> Run:
        """Trains one candidate with one seed.

        All candidates of a seed begin with the same weights, and see the same batches.

        Raises:
            FloatingPointError: The training diverged.
        """
        model, tasks = self._compiled(candidate, seed)
        epochs = self._inputs.epochs
        batches = self._inputs.data.epochs(self._train_files, seed, 0, epochs)
        of_tasks = functools.partial(_of_tasks, tasks)
        names = {task.name for task in tasks}
        ranges = {name: found for name, found in self._loss_ranges.items() if name in names}
        best = BestEpoch(model, ranges, self.config.patience, self.config.restore_best)
        files = (self._train_files, self._eval_files)
        probe = None if candidate.task else self._inputs.conflict_probe(*files)
        measured = [probe] if probe else []
        try:
            model.fit(
                batches.map(of_tasks),
                # Keras warns at the end of a dataset whose size it does not know.
                validation_data=self._validation.map(of_tasks).apply(
                    tf.data.experimental.assert_cardinality(self._eval_steps)
                ),
                epochs=epochs,
                steps_per_epoch=self._inputs.steps_per_epoch,
                callbacks=[RaiseOnDivergence(), *weight_callbacks(self.config, best), *measured],
                # The reader does; Keras warns of its default.
                shuffle=False,
                verbose=0,
            )
        except FloatingPointError as error:
            where = f"comparison, {candidate.method}, seed {seed}"
            raise FloatingPointError(f"{where}: {error}") from None
        best.restore()
        return Run(
            method=candidate.method,
            seed=seed,
            eval=score(model, self._eval_split, tasks),
            test=score(model, self._test_split, tasks),
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
            model, _ = self._compiled(candidate, seed, with_metrics=False)
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

    def _compiled(
        self, candidate: Candidate, seed: int, with_metrics: bool = True
    ) -> tuple[MultiTaskModel, list[Task]]:
        keras.utils.clear_session()
        # Not 0, as in the Trainer.
        keras.utils.set_random_seed(seed + 1)
        inputs = self._inputs
        config = self.config.model_copy(update={"seed": seed, "surgery": candidate.surgery})
        model = build(inputs)
        tasks = weighted(config.tasks, candidate.weights)
        if candidate.task is not None:
            tasks = [task for task in tasks if task.name == candidate.task]
            if model.named_outputs():
                # The same network with the same weights, as far as the task needs it.
                output = outputs_by_task(model, model.output)[candidate.task]
                model = MultiTaskModel(model.input, {candidate.task: output})
            # A subclassed model cannot be cut: it computes the other tasks, which have no loss.
        steps = inputs.epochs * inputs.steps_per_epoch
        compile_model(
            model,
            config,
            tasks,
            inputs.statistics,
            steps,
            with_metrics,
            inputs.steps_per_epoch,
        )
        return model, tasks


def _of_tasks(
    tasks: Sequence[Task], features: Mapping[str, tf.Tensor], *by_task: Mapping[str, tf.Tensor]
) -> tuple[Mapping[str, tf.Tensor], ...]:
    """A batch with the labels, and the weights, of some tasks only."""
    return features, *({task.name: values[task.name] for task in tasks} for values in by_task)


class FinishedRuns:
    """Keeps each run when it is finished, so that an interruption costs one run at most.

    Args:
        folder: Outside all artifacts, which TFX deletes after a failure; None keeps nothing.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder

    def read(self, candidate: int, seed: int) -> Run | None:
        """A finished run, if there is one."""
        if self._folder is None or not tf.io.gfile.exists(self._path(candidate, seed)):
            return None
        with tf.io.gfile.GFile(self._path(candidate, seed)) as file:
            return Run.model_validate_json(file.read())

    def write(self, candidate: int, seed: int, run: Run) -> None:
        """Keeps a run; whenever the process is killed, it is there whole or not at all."""
        if self._folder is None:
            return
        tf.io.gfile.makedirs(self._folder)
        path = self._path(candidate, seed)
        with tf.io.gfile.GFile(f"{path}.part", "w") as file:
            file.write(run.model_dump_json())
        tf.io.gfile.rename(f"{path}.part", path, overwrite=True)

    def delete(self) -> None:
        """Deletes the runs of a comparison that is finished."""
        if self._folder is not None and tf.io.gfile.exists(self._folder):
            tf.io.gfile.rmtree(self._folder)

    def _path(self, candidate: int, seed: int) -> str:
        assert self._folder is not None
        return os.path.join(self._folder, f"run-{candidate}-{seed}.json")
