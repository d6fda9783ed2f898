"""Small loops, compiled."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import tensorflow as tf

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Has XLA compile a function of tensors wherever a graph that calls it is traced.

    For steps of many operations on T numbers each: TensorFlow takes microseconds for an operation,
    however little it does. On Linux machines without other devices than processors: elsewhere XLA
    may want what is not installed (CUDA's libdevice) or be missing.

    Args:
        function: Of tensors, and of numbers that are known then; has no variables and draws nothing
            at random.
    """

    # AutoGraph would take longer than the tracing.
    @functools.wraps(function)
    @tf.autograph.experimental.do_not_convert
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        if tf.executing_eagerly() or not has_only_processors():
            return function(*args, **kwargs)
        return tf.function(function, autograph=False, jit_compile=True)(*args, **kwargs)

    return call


@functools.cache
def has_only_processors() -> bool:
    """Whether this is a Linux machine with no other device."""
    devices = tf.config.list_physical_devices()
    return sys.platform == "linux" and all(one.device_type == "CPU" for one in devices)
