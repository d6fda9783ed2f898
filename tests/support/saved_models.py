"""Small SavedModels that can be told from each other."""

import tensorflow as tf

from pcgrad_tfx.training.task_definitions import write_definitions


def write_saved_model(path, mark, tasks=None):
    """Writes a model that holds a text, and notes which tasks it learned."""
    module = tf.Module()
    module.mark = tf.Variable(mark)
    tf.saved_model.save(module, str(path))
    if tasks:
        write_definitions(str(path), tasks)


def read_mark(path):
    return tf.saved_model.load(str(path)).mark.numpy().decode()
