"""Trainings whose parts on several replicas weigh unequally: masks, weights, missing labels."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel, distributed_fit, replica_batches
from replica_training import float64, values

BATCH, STEPS, POSITIONS = 8, 3, 6
TASKS = ("a", "b", "c")


def sequences() -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The first half of each batch, one replica's part, has short sequences and small weights."""
    rng = np.random.default_rng(0)
    rows = BATCH * STEPS
    first = np.arange(rows) % BATCH < BATCH // 2
    x = rng.normal(size=(rows, POSITIONS, 2))
    x[first, 2:] = 0
    y = {task: rng.normal(size=(rows, POSITIONS, 1)) for task in TASKS}
    y["c"][first] = np.nan
    weights = rng.uniform(1, 2, size=(rows, POSITIONS)) / np.where(first, 10, 1)[:, np.newaxis]
    return x, y, dict.fromkeys(TASKS, weights)


def trained_on_sequences(strategy: tf.distribute.Strategy) -> tuple[list[np.ndarray], list[float]]:
    """A mean over positions, and two over weights; of one task a replica has no label.

    Returns:
        The variables after training, and the losses of the epoch.
    """
    with float64():
        with strategy.scope():
            keras.utils.set_random_seed(0)
            inputs = keras.Input((POSITIONS, 2))
            trunk = keras.layers.Dense(4, "tanh")(keras.layers.Masking()(inputs))
            outputs = {task: keras.layers.Dense(1, name=task)(trunk) for task in TASKS}
            model = MultiTaskModel(inputs, outputs)
            weighted = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
            model.compile(
                keras.optimizers.SGD(0.5),
                loss={"a": "mse", "b": weighted, "c": weighted},
                surgery=PCGrad("sum", seed=3),
                jit_compile=False,
            )
        x, y, weights = sequences()
        history = model.fit(
            x, y, sample_weight=weights, batch_size=BATCH, shuffle=False, verbose=0
        ).history
    return values(model), [history[f"{task}_loss"][0] for task in TASKS]


def averaged(strategy: tf.distribute.Strategy, by_fit: bool) -> list[np.ndarray]:
    """The moving averages that a training ends with, by `fit` or `distributed_fit`."""
    x, y, _ = sequences()
    y = {task: y[task][:, 0] for task in "ab"}
    with float64():
        with strategy.scope():
            keras.utils.set_random_seed(0)
            inputs = keras.Input((POSITIONS, 2))
            trunk = keras.layers.Dense(4, "tanh")(keras.layers.Flatten()(inputs))
            outputs = {task: keras.layers.Dense(1, name=task)(trunk) for task in "ab"}
            model = MultiTaskModel(inputs, outputs)
            optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
            model.compile(optimizer, "mse", surgery=PCGrad("sum", seed=3), jit_compile=False)
            model.optimizer.build(model.trainable_variables)
        batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
        if by_fit:
            model.fit(batches, verbose=0)
        else:
            distributed_fit(
                model,
                strategy,
                lambda context: replica_batches(batches, context),
                epochs=1,
                steps_per_epoch=STEPS,
            )
    return values(model)


def packed_and_not(strategy: tf.distribute.Strategy) -> list[list[float]]:
    """The update by packed gradients and by `pc_backward`, each summed over the replicas."""
    with strategy.scope():
        variable = tf.Variable([1.0, 2.0])
    surgery = PCGrad("sum", seed=0)

    @tf.function
    def step() -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # Globally (3, 1) and (-2, 3), which conflict; on the first replica the parts do not.
        own: Any = tf.gather([[[1.0, 0.0], [1.0, 1.0]], [[2.0, 1.0], [-3.0, 2.0]]], replica)
        with tf.GradientTape(persistent=True) as tape:
            losses = tf.unstack(tf.linalg.matvec(own, variable))
        packed, shapes, masks = surgery.pack_grad(tape, losses, [variable])
        merged = surgery.project_conflicting(packed, masks, step=0)
        (by_packing,) = surgery.unpack_grad(merged, shapes)
        (direct,) = surgery.pc_backward(tape, losses, [variable], step=0)
        return by_packing, direct

    found = strategy.run(step)
    return [strategy.reduce("SUM", one, axis=None).numpy().tolist() for one in found]
