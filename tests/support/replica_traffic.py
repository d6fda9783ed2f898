"""What one step of the loop on docs/distribution.md sends between the replicas."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from distribution_page import documented_train_step
from pcgrad import PCGrad

BATCH, TASKS, UNITS = 8, 3, 4
AREAS, WIDTH = 6, 2


def traffic(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """What one replica contributes to the collective operations of one step of the loop.

    The shared variables are an embedding and two dense layers; each task has a head.

    Returns:
        From the traced graph, in the order of the step: the numbers of elements that are summed
        over the replicas, and the shapes of the sparse gradients' values and of their indices that
        are gathered, for which the operations are in branches of a condition, with and without
        padding; and the numbers of gathers, of lengths and in branches.
    """
    names = [f"task_{index}" for index in range(TASKS)]
    with strategy.scope():
        inputs = {"numeric": keras.Input((3,)), "area": keras.Input((), dtype="int64")}
        row = keras.layers.Embedding(AREAS, WIDTH)(inputs["area"])
        trunk = keras.layers.Concatenate()([inputs["numeric"], row])
        for _ in range(2):
            trunk = keras.layers.Dense(UNITS)(trunk)
        model = keras.Model(inputs, {name: keras.layers.Dense(1)(trunk) for name in names})
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
    step = documented_train_step()(strategy, model, optimizer, PCGrad("sum", seed=3))
    x = {"numeric": np.zeros([BATCH, 3], "f"), "area": np.zeros([BATCH], "int64")}
    y = {name: np.zeros([BATCH, 1], "f") for name in names}
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH, drop_remainder=True)
    (batch,) = strategy.experimental_distribute_dataset(batches)
    graph = step.get_concrete_function(*batch).graph
    operations = graph.get_operations()
    device = next(op.device for op in operations if op.type == "CollectiveReduceV2")
    own = [op for op in operations if op.device == device]
    # Only a condition with collective operations in its branches takes a resource to order them.
    conditions = [
        op.inputs
        for op in own
        if op.type == "If" and any(value.dtype == tf.resource for value in op.inputs)
    ]
    bodies = graph.as_graph_def().library.function
    replicas = len({op.device for op in operations if op.type == "CollectiveReduceV2"})
    return {
        "summed": [op.inputs[0].shape[0] for op in own if op.type == "CollectiveReduceV2"],
        "values": [first_shape(inputs, tf.float32) for inputs in conditions],
        "indices": [first_shape(inputs, tf.int64) for inputs in conditions],
        "lengths": [op.type for op in own].count("CollectiveGatherV2"),
        "in branches": sum(
            node.op == "CollectiveGatherV2" for body in bodies for node in body.node_def
        )
        / replicas,
    }


def first_shape(tensors: Iterable[tf.Tensor], dtype: tf.DType) -> list[int | None]:
    return next(tensor.shape.as_list() for tensor in tensors if tensor.dtype == dtype)


def expected_traffic() -> dict[str, Any]:
    """T numbers of labels, T·D to compare the task gradients, D and the heads' for the update."""
    shared = (3 + WIDTH) * UNITS + UNITS + UNITS * UNITS + UNITS
    heads = TASKS * (UNITS + 1)
    # Each task's rows as they were looked up; then the update's rows, each once.
    rows = [BATCH // 2] * TASKS + [None]
    return {
        "summed": [TASKS, TASKS * shared, shared + heads],
        "values": [[count, WIDTH] for count in rows],
        "indices": [[count] for count in rows],
        "lengths": len(rows),
        # Values and indices, in two branches of which one runs.
        "in branches": 2 * 2 * len(rows),
    }
