"""Two workers train as one process does, and survive that one of them dies."""

import json
import signal

import numpy as np
import pytest
import tensorflow as tf

from pcgrad_tfx.training.distribution import training_strategy
from trips import STEPS_PER_EPOCH
from worker_training import EPOCHS, start_workers, weights_of

pytestmark = pytest.mark.long


def finish(workers, folder):
    """Waits for workers; if one fails, its log says why."""
    try:
        for index, worker in enumerate(workers):
            code = worker.wait()
            assert code == 0, (folder / f"{index}.log").read_text()[-5000:]
    finally:
        for worker in workers:
            worker.kill()


@pytest.fixture(scope="module")
def alone(transformed_data, tmp_path_factory):
    """The weights after each step of a single process."""
    folder = tmp_path_factory.mktemp("alone")
    finish(start_workers(transformed_data, folder, [None]), folder)
    return weights_of(folder, 0)


@pytest.fixture(scope="module")
def together(transformed_data, tmp_path_factory):
    """The folder of two workers."""
    folder = tmp_path_factory.mktemp("together")
    finish(start_workers(transformed_data, folder), folder)
    return folder


def assert_same_steps(found, wanted):
    assert len(found) == len(wanted) >= 20
    for step, (one, other) in enumerate(zip(found, wanted, strict=True)):
        for variable, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(variable, expected, 0, 1e-12, err_msg=f"step {step}")
    assert all(np.any(first != last) for first, last in zip(wanted[0], wanted[-1], strict=True))


@pytest.mark.slow
def test_two_workers_train_as_one_process(together, alone):
    for index in range(2):
        assert_same_steps(weights_of(together, index), alone)


@pytest.mark.slow
def test_only_the_first_worker_writes(together):
    made = {path.name for path in together.iterdir() if path.suffix not in (".log", ".pickle")}
    assert made == {"checkpoints", "run", "tmp-0", "tmp-1"}
    # Python 3.13 leaves the bytecode of functions that TensorFlow has rewritten.
    assert {path.name for path in (together / "tmp-1").iterdir()} <= {"__pycache__"}
    assert not list((together / "checkpoints").iterdir())
    text = (together / "run" / "model_run" / "conflicts.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["epoch"] for line in lines] == list(range(EPOCHS))
    assert all(pair["opposed"] is not None for pair in lines[-1]["probes"]["pairs"])
    assert (together / "run" / "model" / "Format-Serving" / "saved_model.pb").exists()
    assert "epoch 1/" in (together / "0.log").read_text()
    assert "epoch 1/" not in (together / "1.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_after_a_worker_died_all_go_on_from_the_last_epoch(
    transformed_data, tmp_path, alone, killed
):
    kill_before = [None, None]
    kill_before[killed] = STEPS_PER_EPOCH + 3
    workers = start_workers(transformed_data, tmp_path, kill_before)
    codes = [worker.wait() for worker in workers]
    assert codes[killed] == -signal.SIGKILL
    assert codes[1 - killed] not in (0, -signal.SIGKILL)
    log = (tmp_path / f"{1 - killed}.log").read_text()
    assert "start all workers again: training goes on after the last complete epoch" in log
    finish(start_workers(transformed_data, tmp_path), tmp_path)
    for index in range(2):
        found = weights_of(tmp_path, index)
        assert len(found) == (EPOCHS - 1) * STEPS_PER_EPOCH
        for one, other in zip(found[-1], alone[-1], strict=True):
            np.testing.assert_allclose(one, other, 0, 1e-12)


def test_parameter_servers_are_refused(monkeypatch):
    cluster = {"worker": ["a:1", "b:1"], "ps": ["c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    with pytest.raises(ValueError, match="TF_CONFIG names parameter servers"):
        training_strategy()


def test_a_process_that_has_used_tensorflow_cannot_become_a_worker(monkeypatch):
    tf.zeros([])
    task = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    with pytest.raises(ValueError, match="2 workers: run the Trainer of each in a process of its"):
        training_strategy()


@pytest.mark.parametrize("config", ["{", '["worker"]'])
def test_a_broken_configuration_is_named(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match="TF_CONFIG is not the JSON of a cluster"):
        training_strategy()


def test_a_cluster_of_one_worker_needs_no_strategy(monkeypatch):
    task = {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    assert training_strategy() is tf.distribute.get_strategy()
