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


def mean_of_squares(y_true: Any, y_pred: Any) -> Any:
    return tf.reduce_mean((y_true - y_pred) ** 2)


def sum_of_squares(y_true: Any, y_pred: Any) -> Any:
    return tf.reduce_sum((y_true - y_pred) ** 2)


def length(y_true: Any, y_pred: Any) -> Any:
    return tf.sqrt(sum_of_squares(y_true, y_pred))


def trained_on_numbers(
    strategy: tf.distribute.Strategy,
) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    """Losses of one number, sums, vectors that are partly NaN, and a weight that is a variable.

    Returns:
        The variables after training, and the history.
    """
    x, y, _ = sequences()
    rng = np.random.default_rng(1)
    x, whole = x[:, :, 0], rng.normal(size=(len(x), POSITIONS + 3))
    y = {"a": whole[:, :1], "b": whole[:, 1:2], "c": whole[:, 3:], "d": whole[:, 2:3]}
    # One replica has few known values, and no whole row; in one batch there is none at all.
    rows = np.arange(len(x))
    few = np.where(rows % BATCH < BATCH // 2, 0.8, 0.2)
    gaps = rng.uniform(size=y["c"].shape) < few[:, np.newaxis]
    gaps[rows % BATCH < BATCH // 2, 0] = True
    gaps[:BATCH] = True
    y["c"][gaps] = np.nan
    y["a"][rows % BATCH == 0] = np.nan
    y["d"][rows % BATCH > 1] = np.nan
    y["e"] = y["c"]
    weight = tf.Variable(1.0, dtype=tf.float64)
    change = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: weight.assign_add(1.0)
    )
    with float64():
        with strategy.scope():
            keras.utils.set_random_seed(0)
            inputs = keras.Input((POSITIONS,))
            trunk = keras.layers.Dense(4, "tanh")(inputs)
            widths = {"a": 1, "b": 1, "c": POSITIONS, "d": 1, "e": POSITIONS}
            outputs = {task: keras.layers.Dense(w, name=task)(trunk) for task, w in widths.items()}
            model = MultiTaskModel(inputs, outputs)
            model.compile(
                keras.optimizers.SGD(0.05),
                loss={
                    "a": mean_of_squares,
                    "b": sum_of_squares,
                    "c": "mse",
                    "d": "mae",
                    "e": keras.losses.MeanSquaredError(reduction="sum"),
                },
                loss_weights={"a": 1.0, "b": 0.1, "c": weight, "d": 1.0, "e": 0.1},
                metrics={"c": ["mae"], "a": ["mse"], "d": ["mae", "cosine_similarity"]},
                surgery=PCGrad("sum", seed=3),
                jit_compile=False,
            )
        history = model.fit(
            x,
            y,
            batch_size=BATCH,
            shuffle=False,
            verbose=0,
            validation_data=(x[: 2 * BATCH], {task: part[: 2 * BATCH] for task, part in y.items()}),
            callbacks=[change],
        ).history
    return values(model), history


def error_of_one_number(strategy: tf.distribute.Strategy) -> str:
    """The message for a loss that cannot be put together from those of the replicas."""
    with strategy.scope():
        inputs = keras.Input((2,))
        model = MultiTaskModel(inputs, {task: keras.layers.Dense(1)(inputs) for task in "ab"})
        model.compile("sgd", {"a": "mse", "b": length}, jit_compile=False)
    x = np.ones((4, 2), np.float32)
    try:
        model.fit(x, {"a": x[:, :1], "b": x[:, 1:]}, verbose=0)
    except ValueError as error:
        return str(error)
    return ""


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
