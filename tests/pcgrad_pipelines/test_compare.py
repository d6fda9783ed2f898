"""`--compare` from a CSV file to the report: what is true of the data is what it says."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from ml_metadata.proto import metadata_store_pb2

from benchmarks.data.known_truth import TASKS, known_truth
from local_runs import RUNNER
from pcgrad_pipelines.local.run_summary import read_last_run
from pcgrad_pipelines.local.runner import NOT_PUSHED, PUSHED
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, read_comparison

pytestmark = pytest.mark.slow

CONFIG = f"""
name = "known"
[data]
path = "known.csv"
{TASKS}
"""


# Tasks meet in the hidden layer alone, and nothing but their gradients holds it back.
NETWORK = """
wide = false
encoding_bins = 0
dropout = 0.0
weight_decay = 0.0
learning_rate_schedule = "constant"
patience = 0
restore_best = false
"""


UNTUNED = """
methods = ["pcgrad"]
search = 0
static_weights = []
"""


def write(folder, relation, training, comparison):
    """Writes data and configuration, and returns the command that compares methods."""
    known_truth(relation).to_csv(folder / "known.csv", index=False)
    (folder / "known.toml").write_text(
        f"{CONFIG}\n[training]\n{training}{NETWORK}[comparison]\n{UNTUNED}{comparison}"
    )
    return [
        sys.executable, str(RUNNER), "--config", str(folder / "known.toml"),
        "--output", str(folder / "out"), "--compare",
    ]  # fmt: skip


def outputs(folder, node):
    """The folders of a component's outputs in the last run."""
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(folder / "out" / "metadata.sqlite")
    found = read_last_run(connection, "known")[node].outputs
    return {name: pathlib.Path(artifact.uri) for name, artifact in found.items()}


def run(folder, command):
    """Runs it to its end, and returns what it printed and `report.json`."""
    process = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    # What cannot be learned is not pushed.
    assert process.returncode in (PUSHED, NOT_PUSHED), process.stdout
    report = json.loads((outputs(folder, "ConflictReport")["report"] / "report.json").read_text())
    printed = " ".join(process.stdout.split())
    for sentence in report["verdict"]:
        assert sentence in printed
    return process.stdout, report


def test_tasks_that_cannot_both_be_learned_conflict(tmp_path):
    """One hidden unit for two directions; alone, each task has it to itself."""
    training = "epochs = 10\nbatch_size = 64\nlearning_rate = 0.01\nhidden_units = [1]"
    command = write(tmp_path, "conflict", training, "seeds = 4")
    _, report = run(tmp_path, command)
    assert report["intervals_over"] == "4 seeds of PCGrad in the comparison"
    assert "cost" in {task["verdict"] for task in report["ledger"]}
    assert "help" not in {task["verdict"] for task in report["ledger"]}
    assert report["verdict"][0].startswith("Over 4 seeds of PCGrad, ")
    found = {(f["method"], f["task"]): f for f in report["differences"]}
    alone = found["single task", "event"]
    assert alone["p_value"] < 0.05
    assert alone["low"] > 0.2


@pytest.mark.parametrize(
    ("relation", "verdict"), [("unrelated", "no evidence"), ("aligned", "help")]
)
def test_tasks_that_do_not_conflict_are_not_said_to(tmp_path, relation, verdict):
    training = "epochs = 5\nbatch_size = 64\nhidden_units = [16]"
    settings = "seeds = 4\nsingle_task = false"
    _, report = run(tmp_path, write(tmp_path, relation, training, settings))
    assert {task["verdict"] for task in report["ledger"]} == {verdict}


def test_a_killed_run_goes_on_with_the_trainings_that_are_left(tmp_path):
    training = "epochs = 1\nbatch_size = 64\nhidden_units = [4]"
    command = write(tmp_path, "aligned", training, "seeds = 2")
    finished = (tmp_path / "out" / "checkpoints").rglob

    def of_equal_weights():
        paths = finished("run-*-*.json")
        return [path for path in paths if '"equal weights","seed":0' in path.read_text()]

    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not of_equal_weights():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert len(list(finished("run-*-*.json"))) < 12
    # It shows in the results if this training is not repeated.
    marked = {"amount": 0.123, "event": 0.456}
    (first,) = of_equal_weights()
    first.write_text(json.dumps(json.loads(first.read_text()) | {"test": marked}))

    # Four trainings with two seeds; trees and a linear model for two tasks.
    printed, _ = run(tmp_path, command)
    assert re.search(r"Transform +cached", printed)
    assert "Comparison: 12 of 12 trainings" in printed
    comparison = read_comparison(str(outputs(tmp_path, "Comparison")["comparison"]))
    (first_run,) = [r for r in comparison.runs if (r.method, r.seed) == (EQUAL_WEIGHTS, 0)]
    assert first_run.test == marked
    assert not list(finished("run-*"))
