"""The data components on an engine of its own: Beam's job service, workers in other processes."""

import contextlib
import dataclasses
import socket
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx
from tfx.orchestration.pipeline import RunOptions

from pcgrad_pipelines.beam_options import IN_PROCESS_RUNNER
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG
from pcgrad_pipelines.pipeline import RunSettings, create_pipeline
from pcgrad_tfx.data.files import find_data
from pcgrad_tfx.transform.vocabularies import read_vocabularies

WORKER = "apache_beam.runners.worker.sdk_worker_main"


@dataclasses.dataclass
class JobService:
    """Beam's job service in a process of its own.

    Attributes:
        process: The service.
        port: Where it listens.
        workers: The ids of all worker processes that it has started.
    """

    process: psutil.Process
    port: int
    workers: set[int] = dataclasses.field(default_factory=set)

    def watch(self, ended):
        """Notes its workers until the event is set."""
        while not ended.wait(0.2):
            for child in self.process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if WORKER in child.cmdline():
                        self.workers.add(child.pid)

    def beam_arguments(self):
        """With which a pipeline runs there."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.port}",
            "--environment_type=beam:env:harness_subprocess_python:v1",
            f"--environment_config={sys.executable} -m {WORKER}",
        ]


@pytest.fixture(scope="module")
def job_service(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    module = "apache_beam.runners.portability.local_job_service_main"
    log = (tmp_path_factory.mktemp("job_service") / "log").open("w")
    command = [sys.executable, "-m", module, "-p", str(port)]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        service = JobService(psutil.Process(process.pid), port)
        ended = threading.Event()
        watcher = threading.Thread(target=service.watch, args=[ended])
        watcher.start()
        try:
            yield service
        finally:
            ended.set()
            watcher.join()
            for child in service.process.children(recursive=True):
                child.kill()
            process.kill()


def run_data_steps(folder, beam_arguments):
    """Runs what comes before the Trainer on the taxi trips, and returns where its results are."""
    config = load_config(DEFAULT_CONFIG)
    settings = RunSettings(
        pipeline_root=str(folder / "root"),
        push_destination=str(folder / "pushed"),
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(folder / "metadata.sqlite")
        ),
        beam_pipeline_args=beam_arguments,
    )
    pipeline = create_pipeline(config, find_data(config.data.location), settings)
    until_transform = RunOptions(to_nodes=["Transform"])
    tfx.orchestration.LocalDagRunner().run(pipeline, run_options=until_transform)

    def artifact(component, output):
        (found,) = (folder / "root" / component / output).iterdir()
        return found

    return artifact


@pytest.fixture(scope="module")
def results(tmp_path_factory, job_service):
    """The data steps' artifacts on the default engine, and on the job service."""
    default = run_data_steps(tmp_path_factory.mktemp("default"), [f"--runner={IN_PROCESS_RUNNER}"])
    assert not job_service.workers
    elsewhere = run_data_steps(
        tmp_path_factory.mktemp("job_service_run"), job_service.beam_arguments()
    )
    return default, elsewhere


def read(folder, split):
    """A split's rows: the values of each column, sorted by row."""
    files = [str(file) for file in (folder / f"Split-{split}").iterdir()]
    rows = []
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        rows.append(
            tuple(
                (name, tuple(getattr(feature, kind).value) if kind else ())
                for name, feature in sorted(features.items())
                for kind in [feature.WhichOneof("kind")]
            )
        )
    return sorted(rows)


@pytest.mark.slow
def test_the_job_service_did_the_work(results, job_service):
    # CsvExampleGen, StatisticsGen and Transform are Beam pipelines, each with a worker at least.
    assert len(job_service.workers) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "eval", "test"])
def test_the_splits_are_the_same(results, split):
    default, elsewhere = (
        read(artifact("CsvExampleGen", "examples"), split) for artifact in results
    )
    assert len(default) > 500
    assert elsewhere == default


@pytest.mark.slow
def test_vocabularies_and_buckets_are_the_same(results):
    outputs = [
        tft.TFTransformOutput(str(artifact("Transform", "transform_graph"))) for artifact in results
    ]
    default, elsewhere = map(read_vocabularies, outputs)
    assert elsewhere == default
    assert list(default) == list(load_config(DEFAULT_CONFIG).features.categorical)
    assert all(len(values) > 1 for values in default.values())


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_transformed_examples_are_the_same(results, split):
    """z-scores to 1e-3, for sums are merged in another order; all else exactly."""

    def columns(artifact):
        raw = read(artifact("CsvExampleGen", "examples"), split)
        output = tft.TFTransformOutput(str(artifact("Transform", "transform_graph")))
        files = (artifact("Transform", "transformed_examples") / f"Split-{split}").iterdir()
        dataset = tf.data.TFRecordDataset([str(file) for file in files], "GZIP")
        rows = list(
            dataset.map(
                lambda row: tf.io.parse_single_example(row, output.transformed_feature_spec())
            ).as_numpy_iterator()
        )
        assert len(rows) == len(raw)
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    default, elsewhere = map(columns, results)
    assert default.keys() == elsewhere.keys()
    exact = sorted(name for name in default if default[name].dtype != np.float32)
    assert len(exact) >= 6

    def rows(table):
        return sorted(zip(*(table[name].tolist() for name in exact), strict=True))

    assert rows(elsewhere) == rows(default)
    for name in default.keys() - set(exact):
        np.testing.assert_allclose(
            np.sort(elsewhere[name]), np.sort(default[name]), rtol=0, atol=1e-3, err_msg=name
        )
