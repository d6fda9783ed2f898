"""The Trainer's `run_fn`: trains a multi-task model with gradient surgery.

In a pipeline: `Trainer(run_fn="pcgrad_tfx.trainer.run_fn", custom_config={...}, …)`, or this file
as `module_file`. The keys of `custom_config` are those of
`pcgrad_tfx.training_config.TrainerConfig`.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from absl import logging
from tfx import v1 as tfx

from pcgrad.keras import ConflictMonitor, MultiTaskModel, RaiseOnDivergence
from pcgrad_tfx.baseline import write_definitions
from pcgrad_tfx.input_data import InputData
from pcgrad_tfx.label_statistics import label_statistics
from pcgrad_tfx.resuming import EpochCheckpoint, checkpoint_folder
from pcgrad_tfx.serving import ServedModel, load_weights, save_model
from pcgrad_tfx.training import build, compile_model
from pcgrad_tfx.training_config import (
    DEFAULT_EPOCHS,
    TrainerConfig,
    hyperparameter_values,
    trainer_config,
)
from pcgrad_tfx.training_record import TrainingRecord


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains on the train files, evaluates each epoch on the eval files, saves the model.

    Honours `train_steps` and `eval_steps`, `base_model` (warm start), `hyperparameters` and
    `transform_graph_path`; reads the files itself, which is faster than `data_accessor`.
    TensorBoard logs and `conflicts.jsonl` go to `model_run_dir`, a SavedModel with the signatures
    `serving_default` and `transform_features` to `serving_model_dir`.

    Args:
        fn_args: What TFX's Trainer hands over.

    Raises:
        ValueError: `custom_config` or the hyperparameters are wrong, or do not fit the data; one
            line that names the key and the remedy.
        FloatingPointError: Training diverged; nothing was saved as a model.
    """
    config = trainer_config(fn_args.custom_config, fn_args.hyperparameters, fn_args.train_steps)
    if not fn_args.transform_graph_path:
        raise ValueError("the Trainer has no transform_graph; pass it Transform's output")
    # Names such as "auc" then do not get a number, however often this process trains.
    keras.utils.clear_session()
    # Not 0: with a global seed of 0 tf.data cannot shuffle by a seed that is a tensor.
    keras.utils.set_random_seed(config.seed + 1)
    tft_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    data = InputData(tft_output, config.tasks, config.batch_size)
    rows, statistics = label_statistics(data.batches(fn_args.train_files), config.tasks)
    if not rows:
        raise ValueError(f"there is no row in {fn_args.train_files}; check the train split")

    with _strategy().scope():
        model = build(config, data.feature_spec, tft_output, statistics, fn_args.hyperparameters)
        compile_model(model, config, config.tasks, statistics)
        if fn_args.base_model:
            load_weights(model, fn_args.base_model)
        checkpoint = None
        if config.checkpoint_root:
            folder = checkpoint_folder(config.checkpoint_root, *_determinants(fn_args, config))
            checkpoint = EpochCheckpoint(model, folder, fn_args.model_run_dir)
    _fit(model, config, data, fn_args, rows, checkpoint)
    save_model(
        ServedModel(model, tft_output, data.feature_spec, config.tasks, config.features),
        fn_args.serving_model_dir,
    )
    write_definitions(fn_args.serving_model_dir, config.tasks)
    if checkpoint:
        checkpoint.delete()


def _strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine; without a second one no strategy is needed."""
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _fit(
    model: MultiTaskModel,
    config: TrainerConfig,
    data: InputData,
    fn_args: tfx.components.FnArgs,
    rows: int,
    checkpoint: EpochCheckpoint | None,
) -> None:
    steps_per_epoch = math.ceil(rows / config.batch_size)
    epochs = config.epochs or DEFAULT_EPOCHS
    callbacks = [
        RaiseOnDivergence(),
        keras.callbacks.TensorBoard(fn_args.model_run_dir, write_graph=False),
        ConflictMonitor(fn_args.model_run_dir),
        TrainingRecord(fn_args.model_run_dir, config.model_dump(mode="json"), {"train": rows}),
    ]
    if fn_args.train_steps:
        epochs = math.ceil(fn_args.train_steps / steps_per_epoch)
        callbacks.append(_StopAfter(fn_args.train_steps))
    first = 0
    if checkpoint:
        first = checkpoint.restore()
        callbacks.append(checkpoint)
    validation = data.batches(fn_args.eval_files)
    if fn_args.eval_steps:
        validation = validation.take(fn_args.eval_steps)
    # Keras warns at the end of a dataset whose size it does not know.
    batches = sum(1 for _ in validation)
    validation = validation.apply(tf.data.experimental.assert_cardinality(batches))
    model.fit(
        data.epochs(fn_args.train_files, config.seed, first, epochs),
        initial_epoch=first,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=validation,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    logging.info("Trained %s.", model.name)


def _determinants(fn_args: tfx.components.FnArgs, config: TrainerConfig) -> tuple[Any, ...]:
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
