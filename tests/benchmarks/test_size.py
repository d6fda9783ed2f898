"""The documentation shows what `benchmarks/pipeline/size.py` measured, and claims no more."""

import json
import pathlib

import pytest

from benchmarks.data.flights import ALL_ROWS
from benchmarks.data.wide import COLUMNS, TASKS, write_wide
from benchmarks.pipeline.size_report import markdown
from pcgrad_pipelines.config import load_config

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def by_rows():
    return json.loads((RESULTS / "size.json").read_text())


@pytest.mark.parametrize("name", ["size"])
def test_the_documentation_shows_what_was_measured(name):
    measured = json.loads((RESULTS / f"{name}.json").read_text())
    assert markdown(measured) in (ROOT / "docs" / "scaling.md").read_text()


def test_all_flights_fit_into_two_gigabytes(by_rows):
    of_all = [one for one in by_rows if one["rows"] == ALL_ROWS]
    assert len(of_all) > 5
    assert max(one["peak_mb"] for one in of_all) < 2000


def test_the_memory_of_training_does_not_grow_with_the_rows(by_rows):
    alone = [one for one in by_rows if one["component"] == "Trainer, in a new process"]
    assert len(alone) == 3
    peaks = [one["peak_mb"] for one in alone]
    assert max(peaks) < 1.1 * min(peaks)


def test_the_wide_table_is_one(tmp_path):
    config = load_config(write_wide(tmp_path))
    assert len(config.tasks) == TASKS == 50
    assert len([*config.features.numeric, *config.features.categorical]) == COLUMNS == 500
