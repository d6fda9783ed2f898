"""The benchmark of training steps: what it measures is the same training, and it reports it all."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.steps.networks import NETWORKS
from benchmarks.steps.step_time_report import markdown
from benchmarks.steps.steps import STEPS

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("network", ["a", "c", "d"])
def test_every_step_trains(network):
    """A step that did not update its variables would be fast."""
    for name, make in STEPS.items():
        problem = NETWORKS[network].build(3)
        before = [variable.numpy() for variable in problem.model.trainable_variables]
        tf.function(make(problem))()
        for variable, value in zip(problem.model.trainable_variables, before, strict=True):
            assert np.any(variable.numpy() != value), (name, variable.path)


def test_two_tasks_updates_agree():
    """For two tasks all methods are one, but for the reduction and the textbook's heads."""
    updates = {}
    for name, make in STEPS.items():
        problem = NETWORKS["a"].build(2)
        kernel = problem.model.trainable_variables[0]
        before = kernel.numpy()
        tf.function(make(problem))()
        updates[name] = kernel.numpy() - before
    scale = np.abs(updates["PCGrad"]).max()
    for name in ("PPCGrad", "simultaneous"):
        np.testing.assert_allclose(updates[name], updates["PCGrad"], atol=1e-3 * scale)
    cosine = np.vdot(updates["textbook"], updates["PCGrad"]) / np.linalg.norm(updates["textbook"])
    assert cosine / np.linalg.norm(updates["PCGrad"]) > 0.95


def run(script, *arguments):
    command = [sys.executable, f"benchmarks/steps/{script}.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_report(tmp_path):
    steps = ["plain", "floor", "PCGrad", "textbook"]
    options = ["--networks", "a", "--tasks", "2", "3", "--rounds", "2", "--seconds", "0"]
    printed = run("step_time", *options, "--no-footprint", "--output", tmp_path, "--steps", *steps)
    assert "textbook" in printed
    rows = json.loads((tmp_path / "step_time.json").read_text())["rows"]
    assert [row["tasks"] for row in rows] == [2, 3]
    for row in rows:
        assert row["per_floor"]["floor"] == 1
        assert set(row["milliseconds"]) == set(steps)
        assert all(value > 0 for value in row["milliseconds"].values())
    assert "<svg" in (tmp_path / "step_time.svg").read_text()


def test_the_readme_shows_what_was_measured():
    committed = ROOT / "benchmarks" / "results" / "step_time.json"
    rows = json.loads(committed.read_text())["rows"]
    assert {row["network"] for row in rows} == set(NETWORKS)
    assert markdown(rows) in (ROOT / "docs" / "performance.md").read_text()


def test_the_footprint():
    found = json.loads(run("step_footprint", "a", "2", "PCGrad"))
    assert found["trace_seconds"] > 0
    assert found["memory_growth_mb"] > 0
