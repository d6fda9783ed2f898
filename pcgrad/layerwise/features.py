"""The Gram matrix at the features: task gradients that end where the tasks' heads begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad.gramian import sum_of_gram_matrices
from pcgrad.layerwise.forward_graph import ForwardGraph
from pcgrad.replicas import on_several_replicas, sum_over_replicas
from pcgrad.stacks import TaskStack, stack_gradients

_MARKED = "pcgrad_shared_features"


def mark_as_features(tensor: tf.Tensor) -> tf.Tensor:
    """Marks a tensor, in the graph that is being traced, as features that tasks share.

    Returns:
        The tensor to go on with.
    """
    marked = tf.identity(tensor)
    if not tf.executing_eagerly():
        marked.graph.add_to_collection(_MARKED, marked)
    return marked


def feature_gram_matrix(
    tape: tf.GradientTape, losses: Mapping[str, tf.Tensor], variables: Sequence[tf.Variable]
) -> tuple[tf.Tensor, str]:
    """The inner products of the tasks' gradients by the features.

    The features are the marked tensors; without any, those that all losses depend on and that the
    tasks' own operations begin with. Each is differentiated by as if it did not depend on another.
    On several replicas each has the features of its own rows, so the inner products are summed.

    Args:
        tape: The persistent tape that recorded the losses.
        losses: T losses by name.
        variables: V variables; features depend on one at least.

    Returns:
        [T, T], float64; and the features' names.

    Raises:
        ValueError: There is no graph, or no features that several tasks share.
    """
    targets = list(losses.values())
    if tf.executing_eagerly():
        raise ValueError(
            'gramian="features" finds the features in the graph of a step: run it in a '
            "tf.function, in Keras without `run_eagerly`"
        )
    forward = ForwardGraph(targets)
    features = _features(forward, tape, variables)
    # Not the tape's: it would differentiate by one feature through another, a skip connection's.
    rows = [tf.gradients(loss, features, stop_gradients=features) for loss in targets]
    stacks: list[TaskStack] = []
    names: list[str] = []
    for feature, column in zip(features, zip(*rows, strict=True), strict=True):
        by_task = {
            task: tf.convert_to_tensor(gradient)
            for task, gradient in enumerate(column)
            if gradient is not None and forward.takes(task, feature)
        }
        if len(by_task) > 1:
            stacks.append(stack_gradients(by_task, feature.shape))
            names.append(feature.name)
    if not stacks:
        raise ValueError(
            f'gramian="features": the losses {list(losses)} have no features in common that depend '
            "on a variable and that the heads begin with; mark them by the layer "
            'pcgrad.keras.layers.SharedFeatures, or take gramian="tape"'
        )
    gramian = sum_of_gram_matrices(stacks, len(targets))
    if on_several_replicas():
        # As the gradients: TensorFlow takes collectives of two strategies for the same ones, and
        # fails if their dtypes differ.
        gramian = tf.cast(sum_over_replicas(tf.cast(gramian, tf.float32)), tf.float64)
    return gramian, ", ".join(names)


def _features(
    forward: ForwardGraph, tape: tf.GradientTape, variables: Sequence[tf.Variable]
) -> list[tf.Tensor]:
    marked = [
        tensor
        for tensor in forward.graph.get_collection(_MARKED)
        if tensor.op in forward.operations
    ]
    if marked:
        return marked
    return [
        tensor
        for tensor in forward.frontier()
        if tensor.dtype.is_floating
        and any(gradient is not None for gradient in tape.gradient(tensor, list(variables)))
    ]
