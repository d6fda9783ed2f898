"""One thread of TensorFlow on one core; `measuring` is for environments without it, too."""

from __future__ import annotations

import tensorflow as tf

from benchmarks.measuring import pin_to_one_core


def use_one_core() -> None:
    """Pins the process to one core and TensorFlow to one thread; call this first."""
    pin_to_one_core()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
