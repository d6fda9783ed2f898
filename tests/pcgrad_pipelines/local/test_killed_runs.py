"""A run that is killed, wherever it is: what is finished is kept, and the next run goes on."""

import json
import shutil
import time

import pytest

from faults import EPOCHS, finish, kill_at, started, write_data
from pcgrad_pipelines.local.doctor import find_killed
from pcgrad_pipelines.local.runner import DONE, main
from pcgrad_tfx.pushing.versions import loading_problem

pytestmark = pytest.mark.slow

BEFORE_TRAINING = ("CsvExampleGen", "StatisticsGen", "Transform")
# ConflictReport runs beside Evaluator.
AFTER_TRAINING = ("Evaluator", "Pusher")


def artifacts(output, component, name):
    return sorted((output / "artifacts" / component / name).iterdir())


def records(output):
    """What the last training wrote after each epoch."""
    run = artifacts(output, "Trainer", "model_run")[-1]
    return {
        name: [json.loads(line) for line in (run / f"{name}.jsonl").read_text().splitlines()]
        for name in ("history", "conflicts")
    }


def assert_same_values(one, other):
    """In nested JSON, to 1e-6."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_values(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same_values(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6)
    else:
        assert one == other


def kill_when_made(arguments, output, pattern):
    """Kills a run as soon as it makes a file or folder among the artifacts."""
    before = set((output / "artifacts").glob(pattern))
    with started(arguments) as process:
        while not set((output / "artifacts").glob(pattern)) - before:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        return process.stdout.read().decode()


def assert_cached(shown, components):
    for component in components:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {component} ")]
        assert line.endswith("cached"), shown


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run that is killed again and again, and the same without.

    Both go on from one Transform: its numbers differ in the last digits from run to run.
    """
    folder = tmp_path_factory.mktemp("killed")
    arguments, output = write_data(folder), folder / "out"
    for component in BEFORE_TRAINING:
        shown = kill_when_made(arguments, output, f"{component}/*/*")
        done = BEFORE_TRAINING[: BEFORE_TRAINING.index(component)]
        assert_cached(shown, done[:-1])
    kill_when_made(arguments, output, "Trainer/*/*")
    shutil.copytree(output, folder / "copy")
    code, shown = finish(arguments)
    assert code == DONE, shown
    uninterrupted = records(output)
    shutil.rmtree(output)
    (folder / "copy").rename(output)

    kill_at(arguments, "epoch 3/")
    shown = kill_at(arguments, "epoch 6/")
    assert "epoch 1/" not in shown
    kill_when_made(arguments, output, "Trainer/model/*/Format-Serving")
    assert not (output / "pushed_model").exists()
    for component in AFTER_TRAINING:
        shown = kill_when_made(arguments, output, f"{component}/*/*")
        assert_cached(shown, BEFORE_TRAINING)
    code, shown = finish(arguments)
    assert code == DONE, shown
    assert_cached(shown, ["Trainer"])
    return output, uninterrupted


def test_training_ends_where_an_uninterrupted_one_ends(ended):
    output, uninterrupted = ended
    found = records(output)
    assert [line["epoch"] for line in found["conflicts"]] == list(range(EPOCHS))
    assert_same_values(found["conflicts"], uninterrupted["conflicts"])
    by_epoch = {line["epoch"]: line for line in found["history"]}
    assert_same_values(list(by_epoch.values()), uninterrupted["history"])


def test_only_whole_models_are_pushed(ended):
    output, _ = ended
    pushed = list((output / "pushed_model").iterdir())
    versions = [model for model in pushed if model.name.isdecimal()]
    assert versions
    for version in versions:
        assert loading_problem(str(version)) is None
    # The push that was killed may have left a copy under another name, which nobody serves.
    assert len(pushed) - len(versions) <= 1


def test_what_the_killed_runs_left_is_listed_and_removed(ended, capsys):
    output, _ = ended
    left = find_killed(output)
    assert {"Transform", "Trainer"} <= {leftover.what.partition(",")[0] for leftover in left}
    assert main(["--output", str(output), "--doctor", "clean"]) == DONE
    assert find_killed(output) == []
    shown = capsys.readouterr().out
    assert all(leftover.what in shown for leftover in left)
