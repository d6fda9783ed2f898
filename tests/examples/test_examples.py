"""The examples run as they stand."""

import pathlib
import re
import runpy
import subprocess
import sys

import pytest
import tensorflow as tf

pytestmark = pytest.mark.long

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout
    return process.stdout


def test_every_example_is_run():
    tested = pathlib.Path(__file__).read_text()
    assert {file.name for file in EXAMPLES.iterdir()} == set(
        re.findall(r'run\("(\w+\.py)"', tested)
    )


def test_own_loop():
    losses = re.findall(r"loss ([\d.]+) -> ([\d.]+)", run("own_loop.py"))
    assert len(losses) == 2
    assert all(float(last) < 0.1 * float(first) for first, last in losses)


def test_keras_fit():
    shown = run("keras_fit.py")
    for task in ("price", "sold"):
        assert re.search(rf"{task} keeps -?\d+% of its own progress \(-?\d+% to -?\d+%\)", shown)


# What it calls, `init` and `run`, have tests of their own.
@pytest.mark.slow
def test_own_csv(tmp_path):
    shown = run("own_csv.py", str(tmp_path))
    assert "Pushed model: " in shown
    assert (tmp_path / "houses.toml").exists()


def test_own_pipeline_can_be_made(tmp_path):
    pipeline = runpy.run_path(str(EXAMPLES / "own_pipeline.py"))["create_pipeline"](tmp_path)
    assert [component.id for component in pipeline.components][-1] == "Trainer"


@pytest.mark.slow
def test_own_pipeline(tmp_path):
    shown = run("own_pipeline.py", str(tmp_path))
    folder = pathlib.Path(shown.splitlines()[-1].removeprefix("Model: "))
    served = tf.saved_model.load(str(folder / "Format-Serving")).signatures["serving_default"]
    assert set(served.structured_outputs) == {"big_tip", "fare"}
