"""An interrupted training goes on where its last complete epoch ended."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

import pcgrad_tfx.training.trainer
from transformed import TransformedData, op_determinism
from trips import STEPS_PER_EPOCH, trainer_config

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("not_exported")]

EPOCHS = 4
PROBES = 2  # To trace one takes longer than such a training: few have any.


@pytest.fixture(scope="module", autouse=True)
def _deterministic():
    with op_determinism():
        yield


def config_of(folder, **changes):
    """With dropout, so that the state of random layers matters."""
    own = {"model_fn": "trips.dropout_model", "checkpoint_root": str(folder / "checkpoints")}
    return trainer_config(**{"epochs": EPOCHS, **own, **changes})


class _Crash(keras.callbacks.Callback):
    """Ends the process's work in the middle of an epoch or, without a batch, at its end."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self._at = (epoch, batch)
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if (self.epochs[-1], batch) == self._at:
            self.crash()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == self._at:
            self.crash()

    def crash(self):
        raise KeyboardInterrupt


class _Kill(_Crash):
    def crash(self):
        os.kill(os.getpid(), signal.SIGKILL)


def interrupt(data, folder, config, crash=None, **arguments):
    """Trains until interrupted; returns the epochs begun."""
    callbacks = [crash] if crash else []
    with pytest.raises(KeyboardInterrupt):
        data.train(folder, config, callbacks=callbacks, **arguments)
    return crash.epochs if crash else None


def checkpoints(folder):
    root = folder / "checkpoints"
    return sorted(root.iterdir()) if root.exists() else []


@pytest.fixture(scope="module")
def uninterrupted(transformed_data, tmp_path_factory):
    """With probes, which change nothing in a training."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    run = transformed_data.train(folder / "run", config_of(folder, probes=PROBES))
    assert run.epochs == list(range(EPOCHS))
    assert checkpoints(folder) == []
    return run


def assert_equal_runs(run, other):
    """Equal in weights, and each epoch once in the logs."""
    for one, two in zip(run.weights, other.weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)
    assert [line["epoch"] for line in run.conflicts] == list(range(EPOCHS))
    cosines, wanted = (
        [pair["mean_cosine"] for line in one.conflicts for pair in line["pairs"]]
        for one in (run, other)
    )
    np.testing.assert_allclose(cosines, wanted, atol=1e-5)
    # What is known about the whole run is about all its epochs.
    of_run, wanted = (one.conflicts[-1]["run_pairs"] for one in (run, other))
    assert [pair["steps"] for pair in of_run] == [pair["steps"] for pair in wanted]
    assert min(pair["steps"] for pair in of_run) > (EPOCHS - 1) * STEPS_PER_EPOCH
    for pair, same in zip(of_run, wanted, strict=True):
        assert pair["mean_cosine"] == pytest.approx(same["mean_cosine"], abs=1e-5)
    scalars = run.scalars()
    for key in ("train", "epoch_loss"), ("validation", "epoch_loss"), (".", "cosine/big_tip/price"):
        assert sorted(scalars[key]) == list(range(EPOCHS)), key


def assert_equal_probes(run, other):
    of_run, wanted = (one.conflicts[-1]["probes"] for one in (run, other))
    for name in ("probes", "first_step", "last_step"):
        assert of_run[name] == wanted[name]
    for pair, same in zip(of_run["pairs"], wanted["pairs"], strict=True):
        assert pair["opposed"] == pytest.approx(same["opposed"], abs=0.02)


def test_interrupted_again_and_again(transformed_data, uninterrupted, tmp_path):
    config = config_of(tmp_path, probes=PROBES)
    begun = [
        interrupt(transformed_data, tmp_path / str(number), config, crash)
        for number, crash in enumerate([_Crash(0, 5), _Crash(1), _Crash(2, 3)])
    ]
    assert begun == [[0], [0, 1], [2]]
    run = transformed_data.train(tmp_path / "last", config)
    assert run.epochs == [2, 3]
    assert_equal_runs(run, uninterrupted)
    assert_equal_probes(run, uninterrupted)
    assert checkpoints(tmp_path) == []


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


def test_a_method_goes_on_with_its_state(transformed_data, tmp_path):
    config = config_of(tmp_path, surgery="famo")
    wanted = transformed_data.train(tmp_path / "uninterrupted", config)
    assert interrupt(transformed_data, tmp_path / "first", config, _Crash(2, 1)) == [0, 1, 2]
    run = transformed_data.train(tmp_path / "again", config)
    assert run.epochs == [2, 3]
    for one, other in zip(run.weights, wanted.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_interrupted_before_the_model_is_saved(transformed_data, uninterrupted, tmp_path):
    config = config_of(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "save", interrupted)
        interrupt(transformed_data, tmp_path / "first", config)
    run = transformed_data.train(tmp_path / "second", config)
    assert run.epochs == []
    assert_equal_runs(run, uninterrupted)
    assert checkpoints(tmp_path) == []


def test_interrupted_while_a_checkpoint_is_written(transformed_data, uninterrupted, tmp_path):
    config = config_of(tmp_path)
    interrupt(transformed_data, tmp_path / "first", config, _Crash(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.train.CheckpointManager, "save", interrupted)
        interrupt(transformed_data, tmp_path / "second", config)
    run = transformed_data.train(tmp_path / "third", config)
    assert run.epochs == [2, 3]
    assert_equal_runs(run, uninterrupted)


def test_num_steps_are_exact_also_when_resumed(transformed_data, tmp_path):
    config = config_of(tmp_path, epochs=None)
    steps = 2 * STEPS_PER_EPOCH + 2
    interrupt(transformed_data, tmp_path / "first", config, _Crash(1, 1), train_steps=steps)
    run = transformed_data.train(tmp_path / "second", config, train_steps=steps)
    assert run.epochs == [1, 2]
    assert int(run.model.optimizer.iterations) == steps


@pytest.fixture(scope="module")
def with_checkpoint(transformed_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("with_checkpoint")
    interrupt(transformed_data, folder / "first", config_of(folder), _Crash(0))
    assert len(checkpoints(folder)) == 1
    return folder


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({"learning_rate": 0.02}, {}),
        ({}, {"hyperparameters": {"width": 6}}),
        ({}, {"eval_steps": 1}),
        ({}, {"base_model": pathlib.Path("base")}),
    ],
)
def test_another_training_starts_anew_and_leaves_the_checkpoint(
    transformed_data, with_checkpoint, tmp_path, monkeypatch, changes, arguments
):
    # There is no base model; what matters is that one is named.
    monkeypatch.setattr(pcgrad_tfx.training.trainer, "load_weights", lambda *_: None)
    before = checkpoints(with_checkpoint)
    config = config_of(with_checkpoint, **changes)
    begun = interrupt(transformed_data, tmp_path, config, _Crash(0, 0), **arguments)
    assert begun == [0]
    assert set(before) <= set(checkpoints(with_checkpoint))


def test_another_number_of_steps_is_another_training(transformed_data, tmp_path):
    config = config_of(tmp_path, epochs=None)
    for steps in (2 * STEPS_PER_EPOCH, 3 * STEPS_PER_EPOCH):
        begun = interrupt(
            transformed_data, tmp_path / str(steps), config, _Crash(0), train_steps=steps
        )
        assert begun == [0]
    assert len(checkpoints(tmp_path)) == 2


@pytest.mark.parametrize("steps", [1, STEPS_PER_EPOCH])
def test_a_diverged_training_does_not_resume_to_a_model(transformed_data, tmp_path, steps):
    """After one step the loss, which precedes it, is still finite."""
    config = config_of(tmp_path, learning_rate=1e30, epochs=None)
    for attempt in ("first", "second"):
        with pytest.raises(FloatingPointError, match="training diverged"):
            transformed_data.train(tmp_path / attempt, config, train_steps=steps)
        assert not (tmp_path / attempt / "model").exists()


def train_until_killed(data, folder):
    """Run in a process of its own, which dies in the middle of the third epoch."""
    data, folder = TransformedData(pathlib.Path(data)), pathlib.Path(folder)
    with op_determinism():
        config = config_of(folder, probes=PROBES)
        data.train(folder / "killed", config, callbacks=[_Kill(2, 3)])


@pytest.mark.slow
def test_a_killed_process(transformed_data, uninterrupted, tmp_path):
    program = "import sys, test_checkpoints; test_checkpoints.train_until_killed(*sys.argv[1:])"
    command = [sys.executable, "-c", program, str(transformed_data.folder), str(tmp_path)]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(
        command, cwd=pathlib.Path(__file__).parent, env=os.environ | paths, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    run = transformed_data.train(tmp_path / "again", config_of(tmp_path, probes=PROBES))
    assert run.epochs == [2, 3]
    assert_equal_runs(run, uninterrupted)
    assert_equal_probes(run, uninterrupted)
    assert checkpoints(tmp_path) == []


EARLY = {"patience": 2, "epochs": 40, "learning_rate": 0.03, "model_fn": None}


@pytest.fixture(scope="module")
def stopped(transformed_data, tmp_path_factory):
    """An uninterrupted training that stops early."""
    folder = tmp_path_factory.mktemp("stopped")
    run = transformed_data.train(folder / "run", config_of(folder, **EARLY))
    gains = run.history["val_gain"]
    assert len(gains) < EARLY["epochs"]
    assert np.argmax(gains) == len(gains) - 1 - EARLY["patience"] > 0
    return run


def test_interrupted_while_waiting_for_a_better_epoch(transformed_data, stopped, tmp_path):
    config = config_of(tmp_path, **EARLY)
    last = len(stopped.epochs) - 1
    interrupt(transformed_data, tmp_path / "first", config, _Crash(last, 3))
    run = transformed_data.train(tmp_path / "second", config)
    assert run.epochs == [last]
    for one, two in zip(run.weights, stopped.weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_interrupted_after_the_last_epoch_of_a_training_that_stopped(
    transformed_data, stopped, tmp_path
):
    """It does not go on, and the model is that of the best epoch."""
    config = config_of(tmp_path, **EARLY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "save", interrupted)
        interrupt(transformed_data, tmp_path / "first", config)
    with mock.patch.object(pcgrad_tfx.training.trainer, "save_model") as save:
        run = transformed_data.train(tmp_path / "second", config)
    assert run.epochs == []
    (served, _), _ = save.call_args
    for one, two in zip(served.model.get_weights(), stopped.weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def damage_data(folder):
    (data,) = folder.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:-100])


def damage_a_value(folder):
    (data,) = folder.glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


def damage_index(folder):
    (index,) = folder.glob("*.index")
    index.write_bytes(index.read_bytes()[:50])


def lose_data(folder):
    (data,) = folder.glob("*.data-*")
    data.unlink()


def damage_state(folder):
    (folder / "checkpoint").write_bytes(b"\x00\xff damaged")


@pytest.fixture(scope="module")
def stopped_in_third_epoch(transformed_data, tmp_path_factory):
    """The checkpoints of a training that was interrupted."""
    folder = tmp_path_factory.mktemp("stopped_in_third_epoch")
    interrupt(transformed_data, folder / "first", config_of(folder), _Crash(2, 3))
    return folder / "checkpoints"


@pytest.mark.parametrize(
    "damage", [damage_data, damage_a_value, damage_index, lose_data, damage_state]
)
def test_a_damaged_checkpoint_is_named_and_training_begins_anew(
    transformed_data, uninterrupted, stopped_in_third_epoch, tmp_path, capsys, damage
):
    shutil.copytree(stopped_in_third_epoch, tmp_path / "checkpoints")
    (folder,) = checkpoints(tmp_path)
    damage(folder)
    run = transformed_data.train(tmp_path / "second", config_of(tmp_path))
    assert f"The checkpoint in {folder} is damaged; training begins" in capsys.readouterr().out
    assert run.epochs == list(range(EPOCHS))
    assert_equal_runs(run, uninterrupted)
    assert checkpoints(tmp_path) == []
