"""The benchmark of approximate weights: it runs, and the page shows all of it."""

import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks.conflict.approximations import CASES, WAYS, markdown

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_the_report(tmp_path):
    path = tmp_path / "found.json"
    options = ["--problems", "conflict", "--seeds", "2", "--epochs", "1", "--output", path]
    command = [sys.executable, "-m", "benchmarks.conflict.approximations", *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    (row,) = json.loads(path.read_text())["rows"]
    assert row["ways"][WAYS[0]]["agreement"] == pytest.approx(1)
    assert markdown([row]) in printed


def test_the_page_shows_what_was_measured():
    committed = ROOT / "benchmarks" / "results" / "approximations.json"
    rows = json.loads(committed.read_text())["rows"]
    assert [row["problem"] for row in rows] == list(CASES)
    assert markdown(rows) in (ROOT / "docs" / "methods.md").read_text()
