"""A model as a configuration asks for it, built and compiled: for the Trainer and comparisons."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from pcgrad import Weighting, make_weighting
from pcgrad.keras import MultiTaskModel
from pcgrad.methods import METHODS
from pcgrad_tfx.config.surgery import PRIMARY_TASK, method_and_arguments, primary_task
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig, hyperparameter_values
from pcgrad_tfx.training.callbacks.best_epoch import BestEpoch
from pcgrad_tfx.training.inputs import TrainingInputs
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.losses import loss_scale, task_loss
from pcgrad_tfx.training.model import build_model
from pcgrad_tfx.training.network.sizes import parameter_count
from pcgrad_tfx.training.user_models import as_multi_task_model, load_model_fn

_MUCH_MEMORY = 2**30


def build(
    inputs: TrainingInputs, hyperparameters: Mapping[str, Any] | None = None
) -> MultiTaskModel:
    """Builds our model, or that of a `model_fn`.

    Args:
        inputs: What it is built from.
        hyperparameters: As TFX hands them over, for a `model_fn`.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: The model of a `model_fn` does not fit the data.
    """
    config, feature_spec = inputs.config, inputs.data.feature_spec
    if config.model_fn:
        make = load_model_fn(config.model_fn)
        tuned = hyperparameter_values(hyperparameters)
        model = make(feature_spec, config.tasks, tuned)
        return as_multi_task_model(
            model, config.tasks, config.model_fn, feature_spec, inputs.statistics
        )
    if remark := _memory_remark(inputs):
        # Not a log message: if memory runs out, there is nothing else to explain it.
        print(remark, flush=True)
    return build_model(
        feature_spec,
        config.tasks,
        config,
        inputs.embedding_sizes,
        inputs.statistics,
        inputs.boundaries,
    )


def _memory_remark(inputs: TrainingInputs) -> str | None:
    """A line about a model that takes much memory."""
    config = inputs.config
    parameters = parameter_count(
        inputs.data.feature_spec, config.tasks, config, inputs.embedding_sizes, inputs.boundaries
    )
    # The weights, Adam's two moments, a gradient of each task and the combined one; in float32.
    needed = 4 * parameters * (4 + len(config.tasks))
    if needed < _MUCH_MEMORY:
        return None
    return (
        f"The model has {parameters:,} parameters; training it takes about {needed / 2**30:,.1f} "
        "GiB of memory. Less with lower hidden_units, head_units, embedding_dim or vocabulary_size."
    )


def compile_model(
    model: MultiTaskModel,
    config: TrainerConfig,
    tasks: Sequence[Task],
    statistics: Mapping[str, LabelStatistics],
    steps: int,
    with_metrics: bool = True,
    steps_per_epoch: int | None = None,
) -> None:
    """Compiles a model with the configuration's surgery, and builds its optimizer.

    Args:
        model: From `build`.
        config: The Trainer's configuration.
        tasks: The tasks that the model has outputs for, with their loss weights.
        statistics: Of the regression labels, by task.
        steps: How many the training takes at most.
        with_metrics: Whether the tasks' Keras metrics are computed, beside the losses.
        steps_per_epoch: For methods that go by epochs.

    Raises:
        ValueError: The model has no variables.
    """
    # Without weights of rows the metrics are plain means over rows, whatever the classes' weights.
    metrics: dict[bool, dict[str, list[keras.metrics.Metric]]] = {False: {}, True: {}}
    for task in tasks if with_metrics else ():
        metrics[task.weight is not None][task.name] = list(map(_metric, task.keras_metrics))
    model.compile(
        _optimizer(config, steps),
        loss={task.name: task_loss(task, statistics.get(task.name)) for task in tasks},
        loss_weights={
            task.name: task.loss_weight * loss_scale(task, statistics.get(task.name))
            for task in tasks
        },
        metrics=metrics[False] or None,
        weighted_metrics=metrics[True] or None,
        surgery=_surgery(config, tasks, steps_per_epoch),
        gramian=config.gramian or "tape",
        surgery_every=config.surgery_every,
    )
    if not model.built:
        raise ValueError(
            f"{config.model_fn} returned a model without variables; call it once or give it inputs"
        )
    model.optimizer.build(model.trainable_variables)


def weight_callbacks(
    config: TrainerConfig, best: BestEpoch, *others: keras.callbacks.Callback | None
) -> list[keras.callbacks.Callback]:
    """What looks at the weights of each epoch: the best one's, others, and their moving average."""
    looking: list[keras.callbacks.Callback] = [best, *(other for other in others if other)]
    return [*looking, keras.callbacks.SwapEMAWeights()] if config.ema else looking


def _surgery(
    config: TrainerConfig, tasks: Sequence[Task], steps_per_epoch: int | None
) -> Weighting | None:
    """The configuration's method; where it leaves arguments open, those that fit a training."""
    method, given = method_and_arguments(config.surgery)
    if method == "none":
        return None
    # "sum", so that without a conflict a step is the plain step.
    fitting = {"reduction": "sum", "seed": config.seed, "period": steps_per_epoch}
    known = inspect.signature(METHODS[method]).parameters
    arguments = {
        name: fitting[name] for name in fitting.keys() & known if fitting[name] is not None
    }
    arguments |= given
    if method == PRIMARY_TASK:
        arguments["task"] = primary_task(tasks)
    return make_weighting(method, **arguments)


def _optimizer(config: TrainerConfig, steps: int) -> keras.optimizers.Optimizer:
    rate: Any = config.learning_rate
    warmup = math.ceil(config.warmup * steps)
    if config.learning_rate_schedule == "cosine":
        # An optimizer asks for the rate once for each variable, and a warm-up makes it a condition.
        with_warmup = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate, steps - warmup, **with_warmup
        )
    elif warmup:
        rate = keras.optimizers.schedules.PolynomialDecay(0.0, warmup, rate)
    arguments = {
        "learning_rate": rate,
        "weight_decay": config.weight_decay,
        "global_clipnorm": config.clipnorm,
        "use_ema": config.ema is not None,
        "ema_momentum": config.ema or 0.99,
    }
    optimizer = keras.optimizers.get({"class_name": config.optimizer, "config": arguments})
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _metric(name: str) -> keras.metrics.Metric:
    """A metric, called "auc" for the second task, too, where Keras would call it "auc_1"."""
    metric = keras.metrics.get(name)
    metric.name = re.sub(r"_\d+$", "", metric.name)
    return metric
