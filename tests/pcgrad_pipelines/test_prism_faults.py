"""Runs of the command on Prism, and what befalls its workers."""

import contextlib
import time

import psutil
import pytest

from beam_runs import STEPS, Engine, prism_or_skip, worker_processes
from faults import finish, read_until, started, write_data
from pcgrad_pipelines.local.runner import DONE, FAILED

pytestmark = pytest.mark.slow


@pytest.fixture
def prism(tmp_path):
    with prism_or_skip(tmp_path) as found:
        yield found


def wait_for_a_worker(prism, process, besides=()):
    """Waits until a worker of a run talks to Prism, and returns it."""
    port = int(prism.endpoint.rpartition(":")[2])
    while process.poll() is None:
        for worker in set(worker_processes(prism.pool.pid)) - set(besides):
            with contextlib.suppress(psutil.NoSuchProcess):
                found = psutil.Process(worker)
                if any(one.raddr and one.raddr.port == port for one in found.net_connections()):
                    return found
        time.sleep(0.1)
    pytest.fail(f"no worker: {process.stdout.read().decode()}")


def test_a_killed_worker_fails_its_step_and_a_rerun_ends_right(prism, tmp_path):
    arguments = [*write_data(tmp_path), "--no-reference", *prism.options]
    with started(arguments) as process:
        shown = read_until(process, "  StatisticsGen")
        earlier = list(worker_processes(prism.pool.pid))
        wait_for_a_worker(prism, process, earlier).kill()
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


def test_a_killed_engine_fails_the_step_in_one_line(prism, tmp_path):
    with started([*write_data(tmp_path), *prism.options]) as process:
        shown = read_until(process, "  CsvExampleGen")
        wait_for_a_worker(prism, process)
        prism.process.kill()
        shown += process.stdout.read().decode()
    assert process.returncode == FAILED, shown
    message, log = shown.splitlines()[-2:]
    assert message == (
        "CsvExampleGen failed: the Beam runner does not answer any more; start it again, and run "
        "the same command again: finished components are kept"
    )
    assert log.startswith("Full log: ")
