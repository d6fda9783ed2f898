"""The benchmark of the plain path: both steps are the same training, and the page shows it all."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np

from benchmarks.steps.plain_path import make_step, markdown
from pcgrad.keras import MultiTaskModel

ROOT = pathlib.Path(__file__).parents[2]


def test_both_steps_are_the_same_training():
    steps = [make_step(cls, "a", 2) for cls in (keras.Model, MultiTaskModel)]
    for _ in range(3):
        theirs, ours = (step() for step in steps)
        assert theirs.keys() == ours.keys() == {"loss", "task_0_loss", "task_1_loss"}
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-5)


def test_the_report(tmp_path):
    options = ["--networks", "a", "--tasks", "2", "--rounds", "2", "--seconds", "0"]
    command = [sys.executable, "benchmarks/steps/plain_path.py", *options, "--output", tmp_path]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    (row,) = json.loads((tmp_path / "plain_path.json").read_text())["rows"]
    assert markdown([row]).splitlines()[-1] in printed


def test_the_page_shows_what_was_measured():
    committed = ROOT / "benchmarks" / "results" / "plain_path.json"
    rows = json.loads(committed.read_text())["rows"]
    assert {(row["network"], row["tasks"]) for row in rows} == {
        (network, tasks) for network in "abcd" for tasks in (2, 10, 40)
    }
    assert markdown(rows) in (ROOT / "docs" / "performance.md").read_text()
