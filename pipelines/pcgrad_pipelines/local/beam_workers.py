"""Whether a Beam runner can do the data steps of a run on this machine."""

from __future__ import annotations

import argparse
import pathlib
import shutil
import socket

from pcgrad_pipelines.beam_options import BeamRunner
from pcgrad_pipelines.config import ConfigError

_SECONDS = 5


def check_beam_workers(args: argparse.Namespace, output: pathlib.Path) -> None:
    """Refuses a runner that is not there, or whose workers cannot open the output folder.

    Args:
        args: The options of a run.
        output: Its output folder.

    Raises:
        ConfigError: If it is that.
    """
    runner = BeamRunner(args)
    flag = f"--beam-runner {args.beam_runner}"
    if args.orchestrator == "beam" and runner.starts_server:
        raise ConfigError(
            f"--orchestrator beam: Beam starts a server for {flag}, which it can in the main "
            "thread only; remove it"
        )
    # Also on this machine: Beam gives its containers no folder.
    if runner.has_containers:
        raise ConfigError(
            f"{flag}: its containers cannot open {output}; use `tfx-pcgrad compile` with a "
            "pipeline root at gs://…, or workers that are processes "
            "(--beam-arg=--environment_type=EXTERNAL)"
        )
    elsewhere = runner.is_distributed and not runner.is_here
    if elsewhere and not args.shared_folders:
        raise ConfigError(
            f"{flag}: its workers at {runner.address} must open {output} and the data; add "
            "--shared-folders if their machines mount them at the same paths"
        )
    if args.shared_folders and not elsewhere:
        raise ConfigError("--shared-folders is for a --beam-runner on other machines; remove it")
    if runner.starts_java and shutil.which("java") is None:
        raise ConfigError(
            f"{flag}: Beam's job server needs Java, which is not installed; install it, or name a "
            "server that runs by --beam-arg=--job_endpoint=HOST:PORT"
        )
    if runner.job_endpoint not in (None, "embed"):
        _connect(runner.job_endpoint)


def orchestrator(args: argparse.Namespace) -> str:
    """The orchestrator of a run: "beam" or "local"."""
    if args.orchestrator is not None:
        return str(args.orchestrator)
    # BeamDagRunner runs components in threads. There Beam cannot start a job server, because it
    # installs a handler for Ctrl-C with it.
    return "local" if BeamRunner(args).starts_server else "beam"


def _connect(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no job server of Beam answers at {endpoint} ({error}); start it, or correct the "
            "address"
        ) from error
