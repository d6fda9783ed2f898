"""A database of ML Metadata that was moved away, as the message about a damaged one advises."""

import pytest

from faults import finish, write_data
from pcgrad_pipelines.local.runner import DONE

pytestmark = pytest.mark.slow


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_next_run_begins_anew_and_leaves_old_artifacts_alone(tmp_path):
    arguments, output = write_data(tmp_path), tmp_path / "out"
    code, shown = finish(arguments)
    assert code == DONE, shown
    before = contents(output / "artifacts")
    (output / "metadata.sqlite").rename(tmp_path / "damaged")

    code, shown = finish(arguments)
    assert code == DONE, shown
    assert "metadata.sqlite does not know: they are neither used nor touched" in shown
    assert "cached" not in shown
    after = contents(output / "artifacts")
    assert {path: after[path] for path in before} == before
    assert len(after) == 2 * len(before)
    # And from there on as always.
    code, shown = finish(arguments)
    assert code == DONE, shown
    assert "does not know" not in shown
    assert "cached" in shown
