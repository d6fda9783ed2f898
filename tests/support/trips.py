"""A few trips, the tasks that are learned from them, and the Trainer's configuration."""

import keras
import tensorflow as tf

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from transform_runs import config_of

BATCH_SIZE = 16
STEPS_PER_EPOCH = 6  # five full batches of the 90 training rows and one of 10
EVAL_STEPS = 3  # two full batches of the 40 rows and one of 8

TASKS = (
    Task(name="big_tip", kind="binary", column="tips", divide_by="fare", above=0.2),
    Task(name="price", kind="regression", column="fare", valid_above=0),
    Task(name="payment", kind="multiclass", column="payment", classes=("Cash", "Card", "Other")),
)
FEATURES = Features(numeric=("miles",), categorical=("company",), bucketized={"hour": 4})
RAW_SPEC = {
    **dict.fromkeys(("miles", "tips", "fare"), tf.io.VarLenFeature(tf.float32)),
    **dict.fromkeys(("company", "payment"), tf.io.VarLenFeature(tf.string)),
    "hour": tf.io.VarLenFeature(tf.int64),
}
LABEL_COLUMNS = {"tips", "fare", "payment"}


def raw_row(i):
    """A trip; no two have the same fare, and in six of eleven some column has no value."""
    miles = (7 * i % 50) / 2
    row = {
        "miles": [miles],
        "company": [("Blue", "Red", "Top")[i % 3]],
        "hour": [i % 24],
        "tips": [miles * (i % 4) * 400],
        "fare": [30_000 + 200 * miles + i],
        "payment": [("Cash", "Card", "Other")[i * i % 7 % 3]],
    }
    for place, column in enumerate(RAW_SPEC):
        if i % 11 == place:
            del row[column]
    return row


ROWS = {
    "train": [raw_row(i) for i in range(90)],
    "eval": [raw_row(i) for i in range(90, 130)],
}


def trainer_config(**changes):
    """The Trainer's `custom_config`, small by default; a key that is None is left out."""
    small = {"batch_size": BATCH_SIZE, "hidden_units": [8], "embedding_dim": 2, "dropout": 0.0}
    # To trace a probe takes longer than such a training.
    fast = {"learning_rate": 0.01, "probes": 0}
    config = config_of(TASKS, FEATURES) | small | fast | changes
    return {key: value for key, value in config.items() if value is not None}


def dropout_model(feature_spec, tasks, hyperparameters):
    """For `model_fn`: a plain Keras model with an output for each task."""
    inputs = {
        name: keras.Input((), name=name, dtype=feature.dtype.name)
        for name, feature in feature_spec.items()
    }
    columns = [
        keras.layers.Reshape((1,))(keras.ops.cast(column, "float32")) for column in inputs.values()
    ]
    shared = keras.layers.Concatenate()(columns)
    shared = keras.layers.Dense(hyperparameters.get("width", 8), "relu", name="shared")(shared)
    shared = keras.layers.Dropout(0.3)(shared)
    outputs = [
        keras.layers.Dense(
            task.units, None if hyperparameters.get("logits") else task.activation, name=task.name
        )(shared)
        for task in tasks
    ]
    return keras.Model(inputs, outputs)
