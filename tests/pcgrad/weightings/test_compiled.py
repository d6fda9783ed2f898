"""Loops of small steps: compiled where a graph is traced on processors, else as they are."""

from unittest import mock

import pytest
import tensorflow as tf

from pcgrad.weightings import compiled as module
from pcgrad.weightings.compiled import compiled


@pytest.fixture
def devices():
    """Those of this machine; a test may say others."""
    module.has_only_processors.cache_clear()
    with mock.patch.object(tf.config, "list_physical_devices") as listed:
        listed.return_value = [tf.config.PhysicalDevice("CPU:0", "CPU")]
        yield listed
    module.has_only_processors.cache_clear()


@compiled
def power(values, number):
    return tf.while_loop(lambda i, x: i < number, lambda i, x: (i + 1, x * values), (0, values))[1]


def is_compiled():
    graph = tf.function(lambda x: power(x, 3)).get_concrete_function(tf.ones([2])).graph
    functions = graph.as_graph_def().library.function
    return any(one.attr["_XlaMustCompile"].b for one in functions)


def test_within_a_graph(devices):
    assert is_compiled()
    values = tf.constant([2.0, 3.0])
    graph = tf.function(lambda x: power(x, 3))
    assert power(values, 3).numpy().tolist() == graph(values).numpy().tolist() == [16.0, 81.0]


def test_not_eagerly(devices):
    """Each call would compile anew."""
    with mock.patch.object(tf, "function", side_effect=AssertionError):
        assert power(tf.constant([2.0]), 3).numpy().tolist() == [16.0]


def test_not_where_xla_may_be_missing(devices):
    devices.return_value.append(tf.config.PhysicalDevice("GPU:0", "GPU"))
    assert not is_compiled()


def test_not_on_other_systems(devices):
    with mock.patch.object(module.sys, "platform", "darwin"):
        assert not is_compiled()
