"""Brings up Prism, Beam's portable runner in Go, with worker processes, and takes both down.

`python tools/prism.py` runs until Ctrl-C and prints how `tfx-pcgrad run` uses them.

Prism is installed by `go install`, at the version of the installed Beam; Go compares the module
with its checksum database. The program stays in .prism.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

import apache_beam
import grpc

FOLDER = pathlib.Path(__file__).parents[1] / ".prism"
VERSION = apache_beam.__version__

_MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
_POOL = "apache_beam.runners.worker.worker_pool_main"


class PrismError(RuntimeError):
    """Prism cannot be had, or does not start; the message says why."""


@dataclasses.dataclass(frozen=True)
class Prism:
    """A running Prism and a pool that starts a worker process for each job.

    Attributes:
        endpoint: HOST:PORT of its job management, Beam's Job API.
        web: Its page of jobs.
        workers: HOST:PORT of the pool.
        process: Prism.
        pool: The pool; workers are its children.
    """

    endpoint: str
    web: str
    workers: str
    process: subprocess.Popen[bytes]
    pool: subprocess.Popen[bytes]

    @property
    def options(self) -> list[str]:
        """Those of `tfx-pcgrad run`."""
        return [
            "--beam-runner=prism",
            f"--prism={self.endpoint}",
            "--beam-arg=--environment_type=EXTERNAL",
            f"--beam-arg=--environment_config={self.workers}",
        ]


def install() -> pathlib.Path:
    """Installs Prism unless it is there.

    Returns:
        The program.

    Raises:
        PrismError: If there is no Go, or it cannot get or build Prism.
    """
    program = FOLDER / VERSION / "prism"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise PrismError("Go is not installed (https://go.dev/doc/install)")
    process = subprocess.run(
        [go, "install", f"{_MODULE}@v{VERSION}"],
        env={**os.environ, "GOBIN": str(program.parent)},
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if process.returncode != 0:
        raise PrismError(f"go install {_MODULE}@v{VERSION}: {process.stderr.strip()}")
    return program


@contextlib.contextmanager
def running_prism(logs: pathlib.Path) -> Iterator[Prism]:
    """Runs Prism and a pool of workers on free ports.

    Args:
        logs: Folder for what they write, prism.log and workers.log.

    Raises:
        PrismError: If Prism cannot be had, or one of the two does not start.
    """
    program = install()
    job, web, pool = _free_ports(3)
    # The pool starts `python`.
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", "")])
    with contextlib.ExitStack() as stack:

        def start(name: str, *command: str) -> subprocess.Popen[bytes]:
            log = stack.enter_context((logs / f"{name}.log").open("wb"))
            return stack.enter_context(_group(log, list(command), {**os.environ, "PATH": path}))

        pair = Prism(
            endpoint=f"localhost:{job}",
            web=f"http://localhost:{web}",
            workers=f"localhost:{pool}",
            process=start("prism", str(program), f"--job_port={job}", f"--web_port={web}"),
            pool=start("workers", sys.executable, "-m", _POOL, f"--service_port={pool}"),
        )
        _wait_for(pair.process, pair.endpoint, "prism.log")
        _wait_for(pair.pool, pair.workers, "workers.log")
        yield pair


def _wait_for(process: subprocess.Popen[bytes], address: str, log: str) -> None:
    """Waits until a process answers, however long it takes."""
    with grpc.insecure_channel(address) as channel:
        ready = grpc.channel_ready_future(channel)
        while process.poll() is None:
            with contextlib.suppress(grpc.FutureTimeoutError):
                ready.result(timeout=1)
                return
        raise PrismError(f"what was to answer at {address} has ended; see {log}")


@contextlib.contextmanager
def _group(
    log: IO[bytes], command: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process, and at the end ends it and what it has started."""
    process = subprocess.Popen(
        command, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        # Workers may have outlived their pool.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]


def main() -> int:
    """Runs Prism until the process is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with (
            tempfile.TemporaryDirectory(prefix="prism-") as logs,
            running_prism(pathlib.Path(logs)) as prism,
        ):
            print(f"Prism {VERSION}; jobs: {prism.web}; logs: {logs}; Ctrl-C ends it.")
            print(" ".join(["tfx-pcgrad run", *prism.options]), flush=True)
            prism.process.wait()
    except PrismError as error:
        print(error)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
