"""The Trainer's `run_fn`: trains a multi-task model with gradient surgery.

In a pipeline: `Trainer(run_fn="pcgrad_tfx.trainer.run_fn", custom_config={...}, …)`, or this file
as `module_file`. The keys of `custom_config` are those of
`pcgrad_tfx.config.training_config.TrainerConfig`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from absl import logging
from tfx import v1 as tfx

from pcgrad.keras import (
    ConflictMonitor,
    MultiTaskModel,
    RaiseOnDivergence,
    distributed_fit,
)
from pcgrad_tfx.config.training_config import (
    TrainerConfig,
    hyperparameter_values,
    trainer_config,
)
from pcgrad_tfx.data.example_files import check_whole, example_files
from pcgrad_tfx.training.building import build, compile_model, weight_callbacks
from pcgrad_tfx.training.callbacks.best_epoch import BestEpoch
from pcgrad_tfx.training.callbacks.epoch_lines import EpochLines
from pcgrad_tfx.training.callbacks.loss_ranges import LossRange, loss_ranges
from pcgrad_tfx.training.callbacks.record import TrainingRecord
from pcgrad_tfx.training.checkpoints import EpochCheckpoint, checkpoint_folder, discard_damaged
from pcgrad_tfx.training.dataset import InputData
from pcgrad_tfx.training.distribution import (
    check_accelerator,
    is_chief,
    lost_workers_named,
    output_folders,
    training_strategy,
    wait_for_workers,
)
from pcgrad_tfx.training.inputs import TrainingInputs, read_inputs
from pcgrad_tfx.training.serving import ServedModel, load_weights, save_model
from pcgrad_tfx.training.task_definitions import write_definitions
from pcgrad_tfx.training.user_models import check_outputs

# Few beside an epoch; a head without a sigmoid gives a number beyond [0, 1] in nearly any.
_CHECKED_BATCHES = 10


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains on the train files, evaluates each epoch on the eval files, saves the model.

    Honours `train_steps` and `eval_steps`, `base_model` (warm start), `hyperparameters` and
    `transform_graph_path`; reads the files itself, which is faster than `data_accessor`.
    TensorBoard logs and `conflicts.jsonl` go to `model_run_dir`, a SavedModel with the signatures
    `serving_default` and `transform_features` to `serving_model_dir`. It trains on all GPUs of the
    machine or, with TF_CONFIG, on several workers, of which the first one writes.

    Args:
        fn_args: What TFX's Trainer hands over.

    Raises:
        ValueError: `custom_config` or the hyperparameters are wrong, or do not fit the data; one
            line that names the key and the remedy. Or an accelerator was asked for and there is
            none.
        FloatingPointError: Training diverged; nothing was saved as a model.
        RuntimeError: Another worker has gone.
    """
    config = trainer_config(fn_args.custom_config, fn_args.hyperparameters, fn_args.train_steps)
    if not fn_args.transform_graph_path:
        raise ValueError("the Trainer has no transform_graph; pass it Transform's output")
    check_accelerator()
    # Several workers must be connected before TensorFlow does anything else.
    strategy = training_strategy()
    # Names such as "auc" then do not get a number, however often this process trains.
    keras.utils.clear_session()
    # Not 0: with a global seed of 0 tf.data cannot shuffle by a seed that is a tensor.
    keras.utils.set_random_seed(config.seed + 1)
    key = _training_key(fn_args, config)
    check_whole(example_files([*fn_args.train_files, *fn_args.eval_files]))
    tft_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    inputs = read_inputs(config, tft_output, fn_args.train_files)
    held_out = _held_out_labels(fn_args, inputs.data)
    ranges = loss_ranges(config.tasks, inputs.statistics, held_out)
    config = inputs.config
    folders = output_folders(strategy, fn_args.model_run_dir, fn_args.serving_model_dir)
    with lost_workers_named(strategy), folders as (log_dir, model_dir):
        with strategy.scope():
            model = _build_model(fn_args, inputs)
            best = BestEpoch(model, ranges, config.patience, config.restore_best)
            checkpoint = None
            if config.checkpoint_root:
                folder = checkpoint_folder(config.checkpoint_root, *key)
                if is_chief(strategy):
                    discard_damaged(folder)
                wait_for_workers(strategy)
                checkpoint = EpochCheckpoint(model, best, folder, log_dir, is_chief(strategy))
        # Before the training: what cannot be served is found now, not when it is saved.
        served = ServedModel(
            model, tft_output, inputs.data.feature_spec, config.tasks, config.features
        )
        if is_chief(strategy):
            for remark in served.remarks():
                print(remark, flush=True)
        _fit(model, strategy, inputs, ranges, len(held_out), fn_args, best, checkpoint, log_dir)
        if is_chief(strategy) and config.restore_best and best.epoch is not None:
            print(f"  kept: epoch {best.epoch + 1}, mean gain on eval {best.gain:.3f}", flush=True)
        best.restore()
        _check_user_model(model, config, inputs.data, fn_args.eval_files)
        # All workers save: some variables are read from all of them.
        save_model(served, model_dir)
        write_definitions(model_dir, config.tasks)
        # What follows in the pipeline finds the model, whichever worker's step it follows.
        wait_for_workers(strategy)
        if checkpoint:
            checkpoint.delete()


def _held_out_labels(
    fn_args: tfx.components.FnArgs, data: InputData
) -> list[tuple[Mapping[str, tf.Tensor], ...]]:
    """The labels of each batch of an evaluation, by task, and their weights, if there are any."""
    batches = data.batches(fn_args.eval_files)
    if fn_args.eval_steps:
        batches = batches.take(fn_args.eval_steps)
    return [batch[1:] for batch in batches]


def _steps(fn_args: tfx.components.FnArgs, inputs: TrainingInputs) -> int:
    """How many steps the training takes at most."""
    return fn_args.train_steps or inputs.epochs * inputs.steps_per_epoch


def _build_model(fn_args: tfx.components.FnArgs, inputs: TrainingInputs) -> MultiTaskModel:
    model = build(inputs, fn_args.hyperparameters)
    config = inputs.config
    compile_model(
        model,
        config,
        config.tasks,
        inputs.statistics,
        _steps(fn_args, inputs),
        steps_per_epoch=inputs.steps_per_epoch,
    )
    if fn_args.base_model:
        load_weights(model, fn_args.base_model)
    _check_user_model(model, config, inputs.data, fn_args.train_files)
    return model


def _check_user_model(
    model: MultiTaskModel, config: TrainerConfig, data: InputData, files: Sequence[str]
) -> None:
    """Looks at what a user's model gives for some rows."""
    if config.model_fn:
        for features, *_ in data.batches(files).take(_CHECKED_BATCHES):
            check_outputs(model, features, config.tasks, config.model_fn)


def _fit(
    model: MultiTaskModel,
    strategy: tf.distribute.Strategy,
    inputs: TrainingInputs,
    ranges: Mapping[str, LossRange],
    validation_steps: int,
    fn_args: tfx.components.FnArgs,
    best: BestEpoch,
    checkpoint: EpochCheckpoint | None,
    log_dir: str,
) -> None:
    first = checkpoint.restore() if checkpoint else 0
    if best.is_over(first):
        return
    config, data = inputs.config, inputs.data
    epochs = inputs.epochs
    callbacks = [RaiseOnDivergence(), *weight_callbacks(config, best)]
    if fn_args.train_steps:
        epochs = math.ceil(fn_args.train_steps / inputs.steps_per_epoch)
        callbacks.append(_StopAfter(fn_args.train_steps))
    with EpochLines(config.tasks, ranges, log_dir) as lines:
        if is_chief(strategy):
            settings = config.model_dump(mode="json")
            probe = inputs.conflict_probe(fn_args.train_files, fn_args.eval_files, log_dir)
            callbacks += [
                *([probe] if probe else []),
                lines,
                keras.callbacks.TensorBoard(log_dir, write_graph=False),
                ConflictMonitor(log_dir, probe, follow=False),
                TrainingRecord(log_dir, settings, {"train": inputs.rows}),
            ]
        if checkpoint:
            callbacks.append(checkpoint)
        schedule: dict[str, Any] = {
            "initial_epoch": first,
            "epochs": epochs,
            "steps_per_epoch": inputs.steps_per_epoch,
            "callbacks": callbacks,
            "verbose": 0,
        }
        if strategy.num_replicas_in_sync > 1:
            distributed_fit(
                model,
                strategy,
                lambda own: data.epochs(fn_args.train_files, config.seed, first, epochs, own),
                validation=lambda own: data.batches(fn_args.eval_files, own),
                validation_steps=validation_steps,
                **schedule,
            )
        else:
            held_out = data.batches(fn_args.eval_files).take(validation_steps)
            model.fit(
                data.epochs(fn_args.train_files, config.seed, first, epochs),
                # Keras warns at the end of a dataset whose size it does not know.
                validation_data=held_out.apply(
                    tf.data.experimental.assert_cardinality(validation_steps)
                ),
                # The reader does; Keras warns of its default.
                shuffle=False,
                **schedule,
            )
    logging.info("Trained %s.", model.name)


def _training_key(fn_args: tfx.components.FnArgs, config: TrainerConfig) -> tuple[Any, ...]:
    return (
        config.model_dump(mode="json", exclude={"checkpoint_root"}),
        hyperparameter_values(fn_args.hyperparameters),
        [*fn_args.train_files, *fn_args.eval_files],
        [fn_args.transform_graph_path, fn_args.base_model],
        [fn_args.train_steps, fn_args.eval_steps],
    )


class _StopAfter(keras.callbacks.Callback):
    """Stops training after a number of steps, whatever the epoch."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if int(self.model.optimizer.iterations) >= self._steps:
            self.model.stop_training = True
