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

from pcgrad import PCGrad, PPCGrad
from pcgrad.keras import ConflictMonitor, MultiTaskModel
from pcgrad_tfx.baseline import write_definitions
from pcgrad_tfx.input_data import InputData
from pcgrad_tfx.label_statistics import LabelStatistics, label_statistics
from pcgrad_tfx.model import (
    as_multi_task_model,
    build_model,
    check_feature_spec,
    load_model_fn,
)
from pcgrad_tfx.preprocessing import embedding_sizes
from pcgrad_tfx.resuming import EpochCheckpoint, checkpoint_folder, has_diverged
from pcgrad_tfx.serving import ServedModel, load_weights, save_model
from pcgrad_tfx.training_config import (
    DEFAULT_EPOCHS,
    TrainerConfig,
    hyperparameter_values,
    trainer_config,
)

_SURGERIES = {"pcgrad": PCGrad, "ppcgrad": PPCGrad, "none": None}


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains on the train files, evaluates each epoch on the eval files, saves the model.

    Honours `train_steps` and `eval_steps`, `base_model` (warm start), `hyperparameters`,
    `data_accessor` and `transform_graph_path`. TensorBoard logs and `conflicts.jsonl` go to
    `model_run_dir`, a SavedModel with the signatures `serving_default` and `transform_features` to
    `serving_model_dir`.

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
    data = InputData(fn_args.data_accessor, tft_output, config.tasks, config.batch_size)
    rows, statistics = label_statistics(data.batches(fn_args.train_files), config.tasks)
    if not rows:
        raise ValueError(f"there is no row in {fn_args.train_files}; check the train split")

    with _strategy().scope():
        model = _build(config, data, tft_output, statistics, fn_args.hyperparameters)
        _compile(model, config, statistics)
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


def _build(
    config: TrainerConfig,
    data: InputData,
    tft_output: tft.TFTransformOutput,
    statistics: dict[str, LabelStatistics],
    hyperparameters: dict[str, Any] | None,
) -> MultiTaskModel:
    if config.model_fn:
        build = load_model_fn(config.model_fn)
        tuned = hyperparameter_values(hyperparameters)
        model = build(data.feature_spec, config.tasks, tuned)
        return as_multi_task_model(model, config.tasks, config.model_fn)
    if config.features is not None:
        sizes = embedding_sizes(config.features, tft_output)
    else:
        assert config.embedding_sizes is not None  # checked with the configuration
        sizes = config.embedding_sizes
        check_feature_spec(data.feature_spec, sizes)
    return build_model(data.feature_spec, config.tasks, config, sizes, statistics)


def _compile(
    model: MultiTaskModel, config: TrainerConfig, statistics: dict[str, LabelStatistics]
) -> None:
    surgery = _SURGERIES[config.surgery]
    scale = {name: found.loss_scale for name, found in statistics.items()}
    model.compile(
        keras.optimizers.Adam(config.learning_rate),
        loss={task.name: task.loss for task in config.tasks},
        loss_weights={t.name: t.loss_weight * scale.get(t.name, 1.0) for t in config.tasks},
        metrics={
            task.name: [keras.metrics.get(name) for name in task.keras_metrics]
            for task in config.tasks
        },
        # "sum", so that without a conflict a step is the plain step.
        surgery=surgery and surgery(reduction="sum", seed=config.seed),
    )
    if not model.built:
        raise ValueError(
            f"{config.model_fn} returned a model without variables; call it once or give it inputs"
        )
    model.optimizer.build(model.trainable_variables)


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
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.TensorBoard(fn_args.model_run_dir, write_graph=False),
        ConflictMonitor(fn_args.model_run_dir),
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
    history = model.fit(
        data.epochs(fn_args.train_files, config.seed, first, epochs),
        initial_epoch=first,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=validation,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 2,
    ).history
    _check_finite(model, history)
    logging.info("Trained %s.", model.name)


def _check_finite(model: keras.Model, history: dict[str, list[float]]) -> None:
    infinite = [name for name in history if not all(map(math.isfinite, history[name]))]
    losses = [name for name in infinite if name.endswith("loss")]
    if losses or has_diverged(model):
        what = losses[0] if losses else "a weight"
        raise FloatingPointError(
            f"training diverged: {what} is not finite; lower `learning_rate` or look for extreme "
            "values in the labels and features"
        )


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
