"""The Trainer in several worker processes that talk over the loopback interface."""

import contextlib
import json
import os
import pathlib
import pickle
import signal
import socket
import subprocess
import sys

import keras
import numpy as np

from transformed import TransformedData
from trips import STEPS_PER_EPOCH, trainer_config

EPOCHS = 20 // STEPS_PER_EPOCH + 1


def float64_model(feature_spec, tasks, hyperparameters):
    """For `model_fn`: in float64, where what remains of a difference is a mistake, not rounding."""
    inputs = {
        name: keras.Input((), name=name, dtype=feature.dtype.name)
        for name, feature in feature_spec.items()
    }
    columns = [
        keras.layers.Reshape((1,))(keras.ops.cast(column, "float64")) for column in inputs.values()
    ]
    shared = keras.layers.Concatenate(dtype="float64")(columns)
    shared = keras.layers.Dense(8, "tanh", dtype="float64", name="shared")(shared)
    outputs = [
        keras.layers.Dense(task.units, task.activation, dtype="float64", name=task.name)(shared)
        for task in tasks
    ]
    return keras.Model(inputs, outputs)


def config_of(folder):
    return trainer_config(
        model_fn="worker_training.float64_model",
        epochs=EPOCHS,
        learning_rate=0.05,
        probes=2,
        checkpoint_root=str(folder / "checkpoints"),
    )


class _Weights(keras.callbacks.Callback):
    """Keeps the weights after each step; kills the process before one."""

    def __init__(self, kill_before):
        super().__init__()
        self.steps = []
        self._kill_before = kill_before

    def on_train_batch_begin(self, batch, logs=None):
        if len(self.steps) == self._kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append([np.array(variable) for variable in self.model.trainable_variables])


def train(data, folder, kill_before=None):
    """Trains by SGD, which unlike Adam hides no errors of scale.

    Returns:
        The weights after each step.
    """
    keras.optimizers.Adam = keras.optimizers.SGD
    keras.config.set_floatx("float64")
    weights = _Weights(kill_before)
    data.train(folder / "run", config_of(folder), callbacks=[weights])
    return weights.steps


def start_workers(data, folder, kill_before=(None, None)):
    """Starts worker processes.

    Args:
        data: What they train on.
        folder: Where the Trainer writes, and each worker its log and its result.
        kill_before: For each worker the number of the step before which it dies, or None.

    Returns:
        The processes.
    """
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in kill_before]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in bound]
    workers = []
    for index, step in enumerate(kill_before):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        temporary = folder / f"tmp-{index}"
        temporary.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(task),
            "CUDA_VISIBLE_DEVICES": "-1",
            "TMPDIR": str(temporary),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        with (folder / f"{index}.log").open("w") as log:
            command = [sys.executable, __file__, str(data.folder), str(folder), str(index)]
            workers.append(
                subprocess.Popen(
                    [*command, json.dumps(step)],
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    return workers


def weights_of(folder, index):
    return pickle.loads((folder / f"{index}.pickle").read_bytes())


if __name__ == "__main__":
    data, folder, index, step = sys.argv[1:]
    data, folder = TransformedData(pathlib.Path(data)), pathlib.Path(folder)
    steps = train(data, folder, json.loads(step))
    (folder / f"{index}.pickle").write_bytes(pickle.dumps(steps))
