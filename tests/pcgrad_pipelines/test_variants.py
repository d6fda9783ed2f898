"""Runs that differ from the default one in a single thing."""

import os
import shutil

import pytest

from local_runs import EPOCHS, run_pipeline
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.run_summary import summarize
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG, NOT_PUSHED

pytestmark = pytest.mark.slow

FROM_TRAINER_ON = {"Trainer", "ConflictReport", "LatestBlessedModel", "Evaluator", "Pusher"}


def changed_config(folder, old="", new=""):
    """The default configuration with another text in place of one."""
    schema = '"taxi_schema'
    text = DEFAULT_CONFIG.read_text().replace(schema, f'"{DEFAULT_CONFIG.parent}/{schema[1:]}')
    config = folder / "config.toml"
    config.write_text(text.replace(old, new))
    return config


def executed(run):
    return {name for name, node in run.nodes.items() if not node.cached}


@pytest.mark.parametrize("surgery", ["none", "ppcgrad"])
def test_another_surgery_trains_on_the_same_transformed_data(first_run, surgery):
    run = run_pipeline(first_run.output, "--epochs", str(EPOCHS), "--surgery", surgery)
    assert run.exit_code == 0, run.console
    assert executed(run) == FROM_TRAINER_ON
    # The last blessed model is that of the run before, whichever that is.
    tasks = load_config(DEFAULT_CONFIG).tasks
    results = summarize(run.nodes, tasks).results
    assert all(result.baseline_value is not None for result in results)
    if surgery == "none":
        first = {result.task: result.value for result in summarize(first_run.nodes, tasks).results}
        found = {result.task: result.baseline_value for result in results}
        assert found == pytest.approx(first, abs=1e-6)


def test_the_local_orchestrator_runs_the_same_pipeline(first_run, tmp_path):
    run = run_pipeline(tmp_path, "--epochs", str(EPOCHS), "--orchestrator", "local")
    assert run.exit_code == 0, run.console
    assert executed(run) == set(first_run.nodes)


def test_an_edit_runs_what_depends_on_it_and_nothing_else(first_run, tmp_path, monkeypatch):
    root = DEFAULT_CONFIG.parents[2]
    for folder in ("pcgrad", "components", "pipelines"):
        shutil.copytree(root / folder, tmp_path / folder)
    roots = [tmp_path, tmp_path / "components", tmp_path / "pipelines"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, roots)))
    runner = tmp_path / "pipelines" / "local_runner.py"

    def run_after_editing(module):
        edited = tmp_path / "components" / "pcgrad_tfx" / module
        edited.write_text(f"{edited.read_text()}# An edit.\n")
        run = run_pipeline(first_run.output, "--epochs", str(EPOCHS), runner=runner)
        assert run.exit_code == 0, run.console
        return executed(run)

    assert run_after_editing("training/trainer.py") == FROM_TRAINER_ON
    assert run_after_editing("transform/preprocessing.py") == {
        "Transform",
        "Reference",
        *FROM_TRAINER_ON,
    }


def test_a_model_that_fails_its_gate_is_not_pushed_and_the_reason_is_told(first_run, tmp_path):
    config = changed_config(tmp_path, "min_gain = 0.02", "min_gain = 0.4")
    run = run_pipeline(first_run.output, "--epochs", str(EPOCHS), "--config", str(config))
    assert run.exit_code == NOT_PUSHED, run.console
    assert "big_tip did not pass" in run.console
    assert "min_gain 0.4" in run.console
    assert executed(run) <= {"LatestBlessedModel", "Evaluator", "Pusher"}


def test_a_model_of_other_tasks_is_no_baseline(first_run, tmp_path):
    config = changed_config(tmp_path)
    with config.open("a") as file:
        file.write('\n[[tasks]]\nname = "long_trip"\nkind = "binary"\ncolumn = "trip_seconds"\n')
        file.write("above = 900\n")
    run = run_pipeline(first_run.output, "--epochs", str(EPOCHS), "--config", str(config))
    assert run.exit_code == 0, run.console
    assert run.console.count("none yet") == len(load_config(config).tasks)
