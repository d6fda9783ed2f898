"""The benchmark of layer-wise Gram matrices, and the page that shows it."""

import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.steps.layerwise import markdown
from benchmarks.steps.layerwise_steps import CASES, WAYS, step_of

pytestmark = pytest.mark.long

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "layerwise.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", ["transformer", "c", "d"])
def test_every_way_is_the_same_training(case):
    """The ways to make a Gram matrix give one update; all steps train."""
    after = {}
    for way in WAYS:
        problem = CASES[case].build(2)
        variables = problem.model.trainable_variables
        before = [variable.numpy() for variable in variables]
        step_of(problem, way)()
        after[way] = [v.numpy() - b for v, b in zip(variables, before, strict=True)]
        # Variables are rounded when they are changed.
        rounding = [np.spacing(np.abs(b).max()) for b in before]
        assert all(np.any(change) for change in after[way][:4]), way
    for way in ("layerwise", "auto"):
        for one, other, least in zip(after["tape"], after[way], rounding, strict=True):
            np.testing.assert_allclose(other, one, atol=2e-2 * np.abs(one).max() + least)


# `test_fit_knows_the_size_of_batches` of `MultiTaskModel` is about what the option asks for.
@pytest.mark.slow
@pytest.mark.parametrize("known", [[], ["--known-batch"]])
def test_it_runs(tmp_path, known):
    output = tmp_path / "layerwise.json"
    options = ["--cases", "a", "--tasks", "2", "--rounds", "2", "--seconds", "0", *known]
    command = [sys.executable, "benchmarks/steps/layerwise.py", *options, "--output", str(output)]
    subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    (row,) = json.loads(output.read_text())["rows"]
    assert row["per_floor"]["floor"] == 1
    assert row["footprint"].keys() == {"tape", "layerwise", "auto"}
    assert all(f["trace_seconds"] > 0 for f in row["footprint"].values())


def measured(name):
    return json.loads((ROOT / "benchmarks" / "results" / name).read_text())["rows"]


def test_the_page_shows_what_was_measured():
    rows = measured("layerwise.json")
    assert markdown(rows) in PAGE
    assert markdown(measured("layerwise_known_batch.json")) in PAGE
    for row in rows:
        if row["case"] in ("b, batch 128", "b, batch 512"):
            line = rf"\| {row['case']} \| {row['tasks']} \| [\d.]+ \| [\d.]+ \| "
            (ours,) = re.findall(line + r"([\d.]+) \|\n", PAGE + "\n")
            assert ours == f"{row['per_floor']['layerwise']:.2f}"


def test_the_page_s_loop():
    (loop,) = re.findall(r"```python\n(from pcgrad.*?)```", PAGE, re.S)
    model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2)])
    model.build((None, 8))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    before = model.get_weights()
    # A file that AutoGraph, which reads sources, does not need.
    names = {"tf": tf, "model": model, "optimizer": optimizer}
    exec(compile(loop, "docs/layerwise.md", "exec"), names)
    names["train_step"](tf.ones([4, 8]), tf.ones([4, 2]))
    assert any(np.any(a != b) for a, b in zip(model.get_weights(), before, strict=True))
