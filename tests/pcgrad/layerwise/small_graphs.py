"""Variables, data and losses for the tests of layer-wise Gram matrices."""

import numpy as np
import tensorflow as tf

N, INPUTS, OUTPUTS = 4, 30, 29


def variable(*shape, seed=0, name=None):
    rng = np.random.default_rng(seed)
    return tf.Variable(rng.normal(size=shape) / 10, dtype=tf.float64, name=name)


def data(*shape, seed=9):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def targets(features, tasks=3):
    """A loss for each task, of random directions."""
    heads = data(features.shape[-1], tasks, seed=3)
    return tf.unstack(tf.reduce_mean(tf.square(tf.matmul(features, heads)), axis=0), num=tasks)
