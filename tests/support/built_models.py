"""What a user's `model_fn` builds for three tasks, and the Trainer's look at it."""

import keras
import tensorflow as tf

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.user_models import as_multi_task_model, check_outputs

TASKS = (
    Task(name="tip", kind="binary", column="tips"),
    Task(name="fare", kind="regression", column="fare"),
    Task(name="zone", kind="multiclass", column="zone", classes=("a", "b", "c", "d")),
)
SPEC = {
    "miles_xf": tf.io.FixedLenFeature([], tf.float32),
    "company_xf": tf.io.FixedLenFeature([], tf.int64),
}
MILES = {"miles_xf": SPEC["miles_xf"]}
FEATURES = {"miles_xf": tf.constant([-9.0, 0.5, 8.0]), "company_xf": tf.constant([0, 1, 4])}
WIDE = LabelStatistics(mean=5000.0, std=10.0)


def convert(model, tasks=TASKS, spec=None, **statistics):
    return as_multi_task_model(model, tasks, "models.build", spec or SPEC, statistics)


def check(model, tasks=TASKS):
    check_outputs(model, FEATURES, tasks, "models.build")


def inputs():
    return {
        name: keras.Input((), name=name, dtype=feature.dtype.name) for name, feature in SPEC.items()
    }


def column(given):
    """The miles; Keras wants all inputs to be connected."""
    unused = 0 * keras.ops.cast(given["company_xf"], "float32")
    return keras.layers.Reshape((1,))(given["miles_xf"] + unused)


def functional(heads, as_list=False):
    """Heads by task's name, each a layer."""
    given = inputs()
    outputs = {name: head(column(given)) for name, head in heads.items()}
    return keras.Model(given, list(outputs.values()) if as_list else outputs)


def heads(**changes):
    return {
        task.name: keras.layers.Dense(task.units, task.activation, name=task.name) for task in TASKS
    } | changes


class Own(MultiTaskModel):
    """Returns what it is given."""

    def __init__(self, **layers):
        super().__init__()
        self._heads = layers

    def call(self, features, training=False):
        return {
            name: head(tf.reshape(features["miles_xf"], [-1, 1]))
            for name, head in self._heads.items()
        }


class Plain(keras.Model):
    """Of Keras's own class, and not built."""

    def __init__(self, **layers):
        super().__init__()
        self._heads = layers

    def call(self, features, training=False):
        value = keras.ops.reshape(features["miles_xf"], (-1, 1))
        return {name: head(value) for name, head in self._heads.items()}


def big(units, activation=None, name=None):
    """A head with outputs far from 0."""
    return keras.layers.Dense(units, activation, kernel_initializer="ones", name=name)
