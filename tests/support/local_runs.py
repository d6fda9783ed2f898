"""Runs of the local runner in a process of its own."""

import dataclasses
import pathlib
import subprocess
import sys

from ml_metadata.proto import metadata_store_pb2

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.run_summary import NodeRun, read_last_run
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG

RUNNER = DEFAULT_CONFIG.parents[1] / "local_runner.py"
EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class LocalRun:
    """A finished run of the local runner in a process of its own."""

    exit_code: int
    console: str
    output: pathlib.Path
    nodes: dict[str, NodeRun]


def run_pipeline(output: pathlib.Path, *arguments: str, runner: pathlib.Path = RUNNER) -> LocalRun:
    """Runs the default pipeline into a folder."""
    command = [sys.executable, str(runner), "--output", str(output), *arguments]
    process = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(output / "metadata.sqlite")
    nodes = read_last_run(connection, load_config(DEFAULT_CONFIG).name)
    return LocalRun(process.returncode, process.stdout, output, nodes)
