"""The benchmark of the weightings: it finds them all, and reports what it measured."""

import json
import pathlib
import subprocess
import sys

from benchmarks.steps.weighting_time import table, weightings

ROOT = pathlib.Path(__file__).parents[2]


def test_the_report(tmp_path):
    output = tmp_path / "times.json"
    options = ["--weightings", "PCGrad", "PrimaryTask", "GradVac", "--tasks", "2", "--rounds", "2"]
    command = [sys.executable, "benchmarks/steps/weighting_time.py", *options, "--seconds", "0"]
    printed = subprocess.run(
        [*command, "--output", output], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    rows = json.loads(output.read_text())["rows"]
    assert [row["weighting"] for row in rows] == ["PCGrad", "PrimaryTask", "GradVac"]
    assert table(rows) in printed
    assert all(row["trace_seconds"] > 0 for row in rows)


def test_all_weightings_are_found():
    assert {"PCGrad", "PPCGrad", "MGDA", "GradVac", "Normalized"} <= set(weightings())
