"""The tasks' losses of any compiled Keras model, as a probe takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.compile_arguments import by_task, losses_by_task
from pcgrad.keras.losses.task_losses import TaskLosses
from pcgrad.keras.model import MultiTaskModel
from pcgrad.keras.output_names import OutputNames, functional_outputs


def probe_losses(
    model: keras.Model,
) -> tuple[Callable[[Any], Mapping[str, tf.Tensor]], Mapping[str, Any]]:
    """From a batch to each task's loss, without its loss weight; and the weights.

    Args:
        model: A compiled model with one loss for each of several outputs.

    Returns:
        The function, which calls the model as in inference; the weights by task, numbers or
        variables.

    Raises:
        ValueError: The model is not compiled, or has a loss for less than two outputs.
    """
    is_ours = isinstance(model, MultiTaskModel)
    task_losses = model.compiled_training.losses if is_ours else _losses_of_keras(model)
    if len(task_losses.names) < 2:
        raise ValueError(
            f"ConflictProbe: the model has one task, {task_losses.names[0]!r}, so there is nothing "
            "that it could conflict with"
        )

    def losses(batch: Any) -> Mapping[str, tf.Tensor]:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        found = task_losses(task_losses.split(y, model(x, training=False), sample_weight))
        # Half precision would lose small gradients; what is made of them has no unit.
        return {name: model.optimizer.scale_loss(loss) for name, loss in found.items()}

    return losses, task_losses.weights


def _losses_of_keras(model: keras.Model) -> TaskLosses:
    loss = getattr(model, "loss", None)
    if loss is None:
        raise ValueError(
            "ConflictProbe: the model is not compiled with a loss for each output; pass `loss` to "
            "`compile`"
        )
    names = getattr(model, "output_names", None)
    outputs = OutputNames()
    if names and hasattr(model, "output"):
        outputs = functional_outputs(model.output, names)
    losses, outputs = losses_by_task(loss, outputs)
    weights = (model.get_compile_config() or {}).get("loss_weights")
    return TaskLosses(losses, by_task("loss_weights", weights, tuple(losses), outputs), {}, outputs)
