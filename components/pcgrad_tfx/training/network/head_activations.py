"""The ends of the heads of users' own models: what their outputs can be."""

from __future__ import annotations

import keras
import numpy as np

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.network.log_scale import to_log

# Of Keras's activations those that may end the head of a binary or multiclass task. "linear" may
# cast a probability, "exponential" may follow a logarithm.
_MAY_GIVE_PROBABILITIES = {
    "sigmoid", "hard_sigmoid", "sparse_sigmoid", "softmax", "sparsemax", "linear", "exponential",
}  # fmt: skip
# They share 1 among the outputs of a row.
_SHARING = {"softmax", "sparsemax"}
_ACTIVATION_LAYERS = {
    keras.layers.ReLU: "relu",
    keras.layers.LeakyReLU: "leaky_relu",
    keras.layers.PReLU: "prelu",
    keras.layers.ELU: "elu",
    keras.layers.Softmax: "softmax",
}

# What these activations give at most, and at least; a label beyond it is never learned.
_RANGES = {
    keras.activations.sigmoid: (0.0, 1.0),
    keras.activations.softmax: (0.0, 1.0),
    keras.activations.tanh: (-1.0, 1.0),
    keras.activations.relu: (0.0, float("inf")),
    keras.activations.softplus: (0.0, float("inf")),
}


def last_layer(model: keras.Model, output: keras.KerasTensor) -> keras.Layer | None:
    """The layer that gives an output, within models that are layers; None if that is unclear."""
    names = {
        id(tensor): name for tensor, name in zip(model.outputs, model.output_names, strict=True)
    }
    layer = next((one for one in model.layers if one.name == names[id(output)]), None)
    while isinstance(layer, keras.Sequential):
        layer = layer.layers[-1]
    if isinstance(layer, keras.Model):
        inner = getattr(layer, "outputs", None) or []
        return last_layer(layer, inner[0]) if len(inner) == 1 else None
    return layer


def gives_logits(head: keras.Layer | None) -> bool:
    """Whether a head ends in a dense layer of Keras's own, without an activation."""
    # Not any layer: `Activation("linear", dtype="float32")` may follow a sigmoid.
    dense = keras.layers.Dense, keras.layers.EinsumDense
    if not isinstance(head, dense) or head.activation is not keras.activations.linear:
        return False
    # A class of the user's own may apply a sigmoid itself.
    return type(head).call in (layer.call for layer in dense)


def check_head(
    head: keras.Layer | None, units: int | None, task: Task, statistics: LabelStatistics | None
) -> None:
    """Checks that a head can give a task's labels, or their probabilities.

    Args:
        head: From `last_layer`.
        units: Its number of outputs.
        task: The task.
        statistics: Of its labels, if it is a regression.

    Raises:
        ValueError: The activation at its end cannot give them.
    """
    if task.kind == "regression":
        _check_range(head, task, statistics)
    else:
        _check_probabilities(head, units, task)


def _check_probabilities(head: keras.Layer | None, units: int | None, task: Task) -> None:
    """Raises a ValueError if a head ends in an activation that gives no probabilities.

    The first batches need not show it: outputs of a relu may lie below 1.
    """
    activation = getattr(head, "activation", None)
    name = _ACTIVATION_LAYERS.get(type(head))
    if name is None:
        name = getattr(activation, "__name__", "")
        if activation is None or getattr(keras.activations, name, None) is not activation:
            return  # There is none, or it is the user's own.
    if name in _SHARING and units == 1:
        problem = "which gives 1 for any row"
    elif name not in _MAY_GIVE_PROBABILITIES:
        problem = "whose outputs are no probabilities"
    else:
        return
    raise ValueError(
        f"its head ends in {name}, {problem}; end it with Dense({task.units}, {task.activation!r})"
    )


def _check_range(head: keras.Layer | None, task: Task, statistics: LabelStatistics | None) -> None:
    """Raises a ValueError if a head cannot give the mean label."""
    activation = getattr(head, "activation", None)
    if statistics is None or activation is None or activation not in _RANGES:
        return
    lowest, highest = _RANGES[activation]
    if task.log_scale:
        highest = float(to_log(np.float64(highest)))
    if not lowest <= statistics.mean <= highest:
        raise ValueError(
            f"its head ends in {activation.__name__}, which gives {lowest:g} to "
            f"{_RANGES[activation][1]:g}, but the labels lie beyond; end it with "
            f"Dense({task.units}) and give the label in its own unit"
        )
