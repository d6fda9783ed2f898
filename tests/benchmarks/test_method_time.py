"""The benchmark of the methods' steps: it runs, and the page shows all of it."""

import json
import pathlib
import subprocess
import sys

from benchmarks.steps.method_time import markdown
from pcgrad.methods import METHODS

ROOT = pathlib.Path(__file__).parents[2]


def test_the_report(tmp_path):
    options = ["--networks", "a", "--tasks", "2", "--methods", "famo", "--every", "2"]
    options += ["--rounds", "2", "--seconds", "0", "--output", tmp_path]
    command = [sys.executable, "-m", "benchmarks.steps.method_time", *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    (row,) = json.loads((tmp_path / "method_time.json").read_text())["rows"]
    assert list(row["ratios"]) == [
        "famo",
        'pcgrad, gramian = "features"',
        "pcgrad, surgery_every = 2",
    ]
    assert markdown([row]) in printed


def test_the_page_shows_what_was_measured():
    committed = ROOT / "benchmarks" / "results" / "method_time.json"
    rows = json.loads(committed.read_text())["rows"]
    assert {*METHODS} <= {*rows[0]["ratios"]}
    assert markdown(rows) in (ROOT / "docs" / "methods.md").read_text()
