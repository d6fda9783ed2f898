"""A model as a configuration asks for it, built and compiled: for the Trainer and comparisons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow_transform as tft

from pcgrad import PCGrad, PPCGrad
from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig, hyperparameter_values
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.losses import loss_scale, task_loss
from pcgrad_tfx.training.model import (
    FeatureSpec,
    build_model,
    check_feature_spec,
    parameter_count,
)
from pcgrad_tfx.training.user_models import as_multi_task_model, load_model_fn
from pcgrad_tfx.transform.preprocessing import embedding_sizes

_MUCH_MEMORY = 2**30

_SURGERIES = {"pcgrad": PCGrad, "ppcgrad": PPCGrad, "none": None}


def build(
    config: TrainerConfig,
    feature_spec: FeatureSpec,
    tft_output: tft.TFTransformOutput,
    statistics: Mapping[str, LabelStatistics],
    hyperparameters: Mapping[str, Any] | None = None,
) -> MultiTaskModel:
    """Builds our model, or that of a `model_fn`.

    Args:
        config: The Trainer's configuration.
        feature_spec: The transformed features.
        tft_output: Transform's output.
        statistics: Of the regression labels, by task.
        hyperparameters: As TFX hands them over, for a `model_fn`.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: The model, or what it needs, does not fit the data.
    """
    if config.model_fn:
        make = load_model_fn(config.model_fn)
        tuned = hyperparameter_values(hyperparameters)
        model = make(feature_spec, config.tasks, tuned)
        return as_multi_task_model(model, config.tasks, config.model_fn, feature_spec, statistics)
    sizes = user_embedding_sizes(config, feature_spec)
    if sizes is None:
        assert config.features is not None  # checked with the configuration
        sizes = embedding_sizes(config.features, tft_output)
    if remark := _memory_remark(feature_spec, config, sizes):
        # Not a log message: if memory runs out, there is nothing else to explain it.
        print(remark, flush=True)
    return build_model(feature_spec, config.tasks, config, sizes, statistics)


def _memory_remark(
    feature_spec: FeatureSpec, config: TrainerConfig, sizes: Mapping[str, int]
) -> str | None:
    """A line about a model that takes much memory."""
    parameters = parameter_count(feature_spec, config.tasks, config, sizes)
    # The weights, Adam's two moments, a gradient of each task and the combined one; in float32.
    needed = 4 * parameters * (4 + len(config.tasks))
    if needed < _MUCH_MEMORY:
        return None
    return (
        f"The model has {parameters:,} parameters; training it takes about {needed / 2**30:,.1f} "
        "GiB of memory. Less with lower hidden_units, head_units, embedding_dim or vocabulary_size."
    )


def user_embedding_sizes(
    config: TrainerConfig, feature_spec: FeatureSpec
) -> Mapping[str, int] | None:
    """The numbers of ids for our model after somebody else's Transform; `None` in other cases.

    Args:
        config: The Trainer's configuration.
        feature_spec: The transformed features.

    Raises:
        ValueError: The features do not fit.
    """
    if config.model_fn or config.features is not None:
        return None
    assert config.embedding_sizes is not None  # checked with the configuration
    check_feature_spec(feature_spec, config.embedding_sizes)
    return config.embedding_sizes


def compile_model(
    model: MultiTaskModel,
    config: TrainerConfig,
    tasks: Sequence[Task],
    statistics: Mapping[str, LabelStatistics],
    with_metrics: bool = True,
) -> None:
    """Compiles a model with the configuration's surgery, and builds its optimizer.

    Args:
        model: From `build`.
        config: The Trainer's configuration.
        tasks: The tasks that the model has outputs for, with their loss weights.
        statistics: Of the regression labels, by task.
        with_metrics: Whether the tasks' Keras metrics are computed, beside the losses.

    Raises:
        ValueError: The model has no variables.
    """
    surgery = _SURGERIES[config.surgery]
    # Without weights of rows the metrics are plain means over rows, whatever the classes' weights.
    metrics: dict[bool, dict[str, list[keras.metrics.Metric]]] = {False: {}, True: {}}
    for task in tasks if with_metrics else ():
        metrics[task.weight is not None][task.name] = list(map(_metric, task.keras_metrics))
    model.compile(
        keras.optimizers.Adam(config.learning_rate),
        loss={task.name: task_loss(task, statistics.get(task.name)) for task in tasks},
        loss_weights={
            task.name: task.loss_weight * loss_scale(task, statistics.get(task.name))
            for task in tasks
        },
        metrics=metrics[False] or None,
        weighted_metrics=metrics[True] or None,
        # "sum", so that without a conflict a step is the plain step.
        surgery=surgery and surgery(reduction="sum", seed=config.seed),
        gramian=config.gramian,
    )
    if not model.built:
        raise ValueError(
            f"{config.model_fn} returned a model without variables; call it once or give it inputs"
        )
    model.optimizer.build(model.trainable_variables)


def _metric(name: str) -> keras.metrics.Metric:
    """A metric, called "auc" for the second task, too, where Keras would call it "auc_1"."""
    metric = keras.metrics.get(name)
    metric.name = re.sub(r"_\d+$", "", metric.name)
    return metric
