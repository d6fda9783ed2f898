"""Runs of the command on Prism, and what befalls its workers."""

import contextlib
import os
import signal
import time

import psutil
import pytest

from beam_runs import STEPS, Engine, prism_or_skip, worker_processes
from faults import finish, read_until, started, write_data
from pcgrad_pipelines.local.runner import DONE, FAILED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prism(tmp_path_factory):
    with prism_or_skip(tmp_path_factory.mktemp("prism")) as found:
        yield found


def kill_a_worker(prism):
    """Kills the first worker that has begun to talk to Prism."""
    port = int(prism.endpoint.rpartition(":")[2])
    while True:
        for worker in worker_processes(prism.pool.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                connections = psutil.Process(worker).connections()
                if any(one.raddr and one.raddr.port == port for one in connections):
                    os.kill(worker, signal.SIGKILL)
                    return
        time.sleep(0.1)


def test_a_killed_worker_fails_its_step_and_a_rerun_ends_right(prism, tmp_path):
    arguments = [*write_data(tmp_path), "--no-reference", *prism.options]
    with started(arguments) as process:
        shown = read_until(process, "  CsvExampleGen ")
        kill_a_worker(prism)
        shown += process.stdout.read().decode()
    assert process.returncode == FAILED, shown
    message, log = shown.splitlines()[-2:]
    assert message == (
        "StatisticsGen failed: a worker of the Beam runner ended: it was killed, or had too little "
        "memory; run the same command again: finished components are kept"
    )
    assert log.startswith("Full log: ")

    code, shown = finish(arguments)
    assert code == DONE, shown
    (line,) = [line for line in shown.splitlines() if line.startswith("  CsvExampleGen ")]
    assert line.endswith("cached")
    jobs = list(Engine(prism.endpoint, [], set()).jobs().values())
    for component, step in STEPS.items():
        states = sorted(state for steps, state in jobs if step in steps)
        assert states == (["DONE", "FAILED"] if component == "StatisticsGen" else ["DONE"])
