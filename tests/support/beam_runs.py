"""The data steps on one Beam engine or another, what became of them, and which engine did them."""

import contextlib
import dataclasses
import socket
import subprocess
import sys
import threading

import grpc
import psutil
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from tfx import v1 as tfx
from tfx.orchestration.pipeline import RunOptions

from pcgrad_pipelines.beam_options import BeamRunner
from pcgrad_pipelines.command import build_parser
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG
from pcgrad_pipelines.pipeline import RunSettings, create_pipeline
from pcgrad_tfx.data.files import find_data
from tools.prism import PrismError, install, running_prism

# A step of the Beam pipeline of each component.
STEPS = {
    "CsvExampleGen": "InputToRecord",
    "StatisticsGen": "GenerateStatistics[train]",
    "Transform": "Analyze",
    "Evaluator": "ExtractEvaluateAndWriteResults",
}

# In the command of every worker process of Beam's.
WORKER = "apache_beam.runners.worker.sdk_worker"


@dataclasses.dataclass
class Engine:
    """An engine in processes of its own.

    Attributes:
        endpoint: HOST:PORT of its job management.
        arguments: Those of Beam's with which a pipeline runs there.
        workers: The ids of all worker processes that it has started.
    """

    endpoint: str
    arguments: list[str]
    workers: set[int]

    def jobs(self):
        """The jobs that it says to have got, by id: the names of their steps, and the state."""
        with grpc.insecure_channel(self.endpoint) as channel:
            stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
            found = {}
            for job in stub.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info:
                pipeline = stub.GetPipeline(
                    beam_job_api_pb2.GetJobPipelineRequest(job_id=job.job_id)
                ).pipeline
                steps = {
                    transform.unique_name.partition("/")[0]
                    for transform in pipeline.components.transforms.values()
                }
                state = stub.GetState(beam_job_api_pb2.GetJobStateRequest(job_id=job.job_id)).state
                found[job.job_id] = (steps, beam_job_api_pb2.JobState.Enum.Name(state))
        return found


@contextlib.contextmanager
def beam_job_service(folder):
    """Beam's job service in Python, with a worker process for each job."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    module = "apache_beam.runners.portability.local_job_service_main"
    command = [sys.executable, "-m", module, "-p", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with workers_of(process.pid) as workers:
                arguments = [
                    "--runner=PortableRunner",
                    f"--job_endpoint=localhost:{port}",
                    "--environment_type=beam:env:harness_subprocess_python:v1",
                    f"--environment_config={sys.executable} -m {WORKER}_main",
                ]
                yield Engine(f"localhost:{port}", arguments, workers)
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


@contextlib.contextmanager
def prism(folder):
    """Prism, with a worker process for each job."""
    with prism_or_skip(folder) as found, workers_of(found.pool.pid) as workers:
        arguments = BeamRunner(build_parser().parse_args(["run", *found.options])).arguments
        yield Engine(found.endpoint, arguments, workers)


@contextlib.contextmanager
def prism_or_skip(folder):
    """Prism; without it the test is not run, and says so."""
    try:
        install()
    except PrismError as error:
        pytest.skip(f"NOT RUN on Prism, Beam's engine in Go: {error}")
    with running_prism(folder) as found:
        yield found


@contextlib.contextmanager
def workers_of(pid):
    """The ids of all worker processes that a process starts meanwhile."""
    workers, ended = set(), threading.Event()

    def watch():
        while not ended.wait(0.2):
            with contextlib.suppress(psutil.NoSuchProcess):
                workers.update(worker_processes(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield workers
    finally:
        ended.set()
        watcher.join()


def worker_processes(pid):
    """The ids of a process's worker processes that run now."""
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if WORKER in " ".join(child.cmdline()):
                yield child.pid


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


def read_transformed(artifact, split):
    """A split's transformed rows."""
    output = tft.TFTransformOutput(str(artifact("Transform", "transform_graph")))
    files = (artifact("Transform", "transformed_examples") / f"Split-{split}").iterdir()
    dataset = tf.data.TFRecordDataset([str(file) for file in files], "GZIP")
    spec = output.transformed_feature_spec()
    return list(dataset.map(lambda row: tf.io.parse_single_example(row, spec)).as_numpy_iterator())
