"""Two worker processes train as one process does on the whole batch."""

from typing import Any

import pytest
import tensorflow as tf

from pcgrad import PCGrad
from replica_traffic import expected_traffic
from replica_training import (
    ROWS,
    assert_same_history,
    assert_same_steps,
    fit,
    loop,
    run_workers,
)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def workers(tmp_path_factory) -> list[dict[str, Any]]:
    return run_workers(2, tmp_path_factory.mktemp("workers"), timeout=400)


def test_the_loop_trains_as_one_process_does(workers):
    wanted = loop(tf.distribute.get_strategy(), ROWS["no row"])
    for worker in workers:
        assert worker["replicas"] == 2
        assert_same_steps(worker["loop"], wanted, 1e-12)


def test_seeds_drawn_by_each_worker_are_replaced_by_the_first_ones(workers):
    seeds = [worker["drawn_seed"] for worker in workers]
    assert seeds[0] != seeds[1]
    surgery = PCGrad("sum", seed=seeds[0])
    wanted = loop(tf.distribute.get_strategy(), ROWS["no row"], surgery)
    for worker in workers:
        assert_same_steps(worker["loop_with_drawn_seed"], wanted, 1e-12)


def test_fit_trains_where_that_of_keras_does(workers):
    """Keras 3.12 on TensorFlow fails on several workers before the first step of any model."""
    for worker in workers:
        assert worker["fit_error"] == worker["keras_fit_error"]
        for steps, _ in worker["fit"]:
            wanted, _ = fit(tf.distribute.get_strategy(), ROWS["no row"])
            assert_same_steps(steps, wanted, 1e-12)


def test_distributed_fit_trains_as_fit_does_in_one_process(workers):
    steps, history = fit(tf.distribute.get_strategy(), ROWS["no row"])
    for worker in workers:
        own_steps, own_history = worker["own_fit"]
        assert_same_steps(own_steps, steps, 1e-12)
        assert_same_history(own_history, history)


def test_without_surgery_and_with_a_monitor_of_one_worker(workers):
    steps, history = fit(tf.distribute.get_strategy(), ROWS["no row"], surgery=None)
    assert "mean_cosine" not in history
    for worker in workers:
        for kind in ("plain", "monitored"):
            own_steps, own_history = worker[kind]
            assert_same_steps(own_steps, steps, 1e-12)
            assert ("mean_cosine" in own_history) == (kind == "monitored")
            for name, values in history.items():
                assert own_history[name] == pytest.approx(values, rel=1e-5)


def test_what_a_worker_sends(workers):
    for worker in workers:
        assert worker["traffic"] == expected_traffic()
