"""Trainings in processes of their own, several at once."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import joblib
import psutil
import tensorflow as tf
import tensorflow_transform as tft
from absl import logging
from tfx import v1 as tfx
from tfx.utils import json_utils

from pcgrad_tfx.comparison.trainings import Trainings
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.evaluation.splits import EVAL, TRAIN, read_test_split, split_files
from pcgrad_tfx.training.inputs import read_inputs

# What a process takes beside the data: TensorFlow, a traced model.
_MEMORY = 2 * 2**30

# Python reads it when it is started.
_WARNINGS = "PYTHONWARNINGS"

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a process needs in order to train; plain text, so that it can be sent.

    Attributes:
        config: JSON of the Trainer's configuration.
        artifacts: JSON of the component's inputs.
    """

    config: str
    artifacts: str

    @classmethod
    def of(cls, config: TrainerConfig, artifacts: dict[str, tfx.dsl.Artifact]) -> Inputs:
        """Makes it of the objects."""
        return cls(config.model_dump_json(), json_utils.dumps(artifacts))

    def prepared(self) -> Trainings:
        """The data of all trainings; a process reads them once."""
        return _prepared(self)


def run_all(
    inputs: Inputs, calls: Sequence[Callable[[Inputs], Result]], processes: int
) -> Iterator[tuple[int, Result]]:
    """Makes all calls.

    Args:
        inputs: The argument of each of them.
        calls: What can be pickled: a `functools.partial` of a module's function, say.
        processes: So many run at once; 1: in this process.

    Yields:
        A call's number and its result, as soon as it is there.

    Raises:
        RuntimeError: The system ended a process.
    """
    # Processes that have all cores each get in each other's way.
    threads = max(1, joblib.cpu_count() // processes)
    parallel = joblib.Parallel(
        n_jobs=processes, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
    )
    try:
        with _quiet_imports():
            yield from parallel(
                joblib.delayed(_call)(os.getpid(), threads, inputs, number, call)
                for number, call in enumerate(calls)
            )
    except BrokenProcessPool:
        raise RuntimeError(
            "comparison: the system ended a training's process, probably for want of memory; set "
            "fewer jobs, as in [comparison] jobs = 1; what is trained is kept"
        ) from None


def default_processes() -> int:
    """One for each core, as far as memory is free; one on a machine with a GPU."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(joblib.cpu_count(), psutil.virtual_memory().available // _MEMORY))


@contextlib.contextmanager
def _quiet_imports() -> Iterator[None]:
    """Processes that are begun do not repeat what packages warn of when they are imported."""
    before = os.environ.get(_WARNINGS)
    os.environ[_WARNINGS] = "ignore"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WARNINGS]
        else:
            os.environ[_WARNINGS] = before


def _call(
    parent: int, threads: int, inputs: Inputs, number: int, call: Callable[[Inputs], Result]
) -> tuple[int, Result]:
    if os.getpid() != parent:
        _begin(parent, threads)
    return number, call(inputs)


@functools.cache
def _begin(parent: int, threads: int) -> None:
    """What a process does first."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    # What there is to say, the first process says.
    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    # It is not told if the first process is killed, and would go on with what is in its queue.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


@functools.lru_cache(maxsize=1)
def _prepared(inputs: Inputs) -> Trainings:
    config = TrainerConfig.model_validate_json(inputs.config)
    artifacts = json_utils.loads(inputs.artifacts)
    examples, transformed = artifacts["examples"], artifacts["transformed_examples"]
    tft_output = tft.TFTransformOutput(artifacts["transform_graph"].uri)
    train_files = split_files(transformed, TRAIN)
    found = read_inputs(config, tft_output, train_files)
    # Small beside the training split, and read once for every run. Classes count as they are.
    test_split = read_test_split(examples, tft_output, found.data.with_factors({})).cache()
    return Trainings(found, train_files, split_files(transformed, EVAL), test_split)
