"""Trainings in several processes."""

import os

import joblib
import pytest
import tensorflow as tf

from pcgrad_tfx.comparison.processes import Inputs, run_all

pytestmark = pytest.mark.slow


def ended(_):
    os._exit(9)


def test_a_process_that_the_system_ended_is_named():
    with pytest.raises(RuntimeError, match=r"probably for want of memory; set fewer jobs"):
        list(run_all(Inputs("", ""), [ended, ended], 2))


def threads(_):
    threading = tf.config.threading
    return (
        threading.get_intra_op_parallelism_threads(),
        threading.get_inter_op_parallelism_threads(),
    )


def test_processes_share_the_cores():
    """All cores for each of them took a quarter longer on two cores."""
    found = dict(run_all(Inputs("", ""), [threads] * 3, 2))
    share = max(1, joblib.cpu_count() // 2)
    assert found == dict.fromkeys(range(3), (share, share))
