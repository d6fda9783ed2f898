"""Runs of the local runner on tiny data, and what befalls them."""

import contextlib
import os
import signal
import subprocess
import sys

from local_runs import RUNNER

EPOCHS = 8
CONFIG = f"""
name = "tiny"
[data]
path = "data.csv"
[[tasks]]
name = "big_tip"
kind = "binary"
column = "tips"
divide_by = "fare"
above = 0.2
gate = {{ min_gain = -1.0 }}
[[tasks]]
name = "fare"
kind = "regression"
column = "fare"
gate = {{ min_gain = -100.0 }}
[features]
numeric = ["hour"]
categorical = ["company"]
[training]
probes = 0
epochs = {EPOCHS}
batch_size = 16
"""
ROWS = "".join(f"{i % 4}.5,{10 + i % 7}.0,Company {i % 3},{i % 24}\n" for i in range(400))


def write_data(folder):
    """Writes the data and their configuration.

    Returns:
        The arguments of a run whose output folder is "out".
    """
    (folder / "tiny.toml").write_text(CONFIG)
    (folder / "data.csv").write_text("tips,fare,company,hour\n" + ROWS)
    return ["--config", str(folder / "tiny.toml"), "--output", str(folder / "out")]


@contextlib.contextmanager
def started(arguments, *before):
    """A run in a process of its own, in which operations are deterministic."""
    environment = {**os.environ, "TF_DETERMINISTIC_OPS": "1"}
    command = [*before, sys.executable, str(RUNNER), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process, text):
    """What a run prints until a text appears, or else until its end."""
    shown = b""
    while text.encode() not in shown:
        more = os.read(process.stdout.fileno(), 4096)
        if not more:
            break
        shown += more
    return shown.decode()


def finish(arguments, *before):
    """Lets a run finish.

    Returns:
        Its exit code and what it printed.
    """
    with started(arguments, *before) as process:
        shown = process.stdout.read().decode()
    return process.returncode, shown


def kill_at(arguments, text):
    """Kills a run as soon as it has printed a text; returns what it has printed."""
    with started(arguments) as process:
        shown = read_until(process, text)
        process.kill()
    assert text in shown, shown
    assert process.returncode == -signal.SIGKILL
    return shown


# A small disk of one's own. Root needs no user namespace for it, and may have none in a chroot.
UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
SMALL_DISK = 'mount -t tmpfs -o "$1" none "$0" && shift && exec "$@"'


def on_disk(folder, options):
    """What to write before a command so that a folder is a small disk of its own."""
    folder.mkdir(exist_ok=True)
    return [*UNSHARE, "sh", "-c", SMALL_DISK, str(folder), options]
