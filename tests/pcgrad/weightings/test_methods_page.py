"""docs/methods.md: its blocks run, and its tables have every method."""

import pathlib
import re

import keras
import numpy as np
import pytest

import pcgrad
from pcgrad.keras import MultiTaskModel
from pcgrad.methods import METHODS
from pcgrad.weightings.weighting import needs_gramian
from pcgrad_tfx.config.surgery import ONE_PASS, SURGERIES

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "methods.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def small_model():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3)(inputs)
    return MultiTaskModel(inputs, {name: keras.layers.Dense(1)(hidden) for name in "ab"})


@pytest.fixture(scope="module")
def page():
    namespace = {"model": small_model(), "losses": {"a": "mse", "b": "mse"}}
    for block in BLOCKS:
        exec(block, namespace)
    return namespace


def test_the_tables_have_every_method_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", TEXT, re.M)
    assert {name: getattr(pcgrad, made) for name, made in rows} == METHODS


def test_configurations_know_every_method():
    assert set(SURGERIES) == {*METHODS, "none"}
    from_losses = {name for name, made in METHODS.items() if not needs_gramian(made)}
    assert set(ONE_PASS) == {*from_losses, "none"}


def test_the_loop_takes_a_step(page):
    assert int(page["optimizer"].iterations) == 1
    assert float(page["famo"].state["updates"]) == 1


@pytest.mark.parametrize("method", ["softer_for_long_gradients", "RelativeLosses"])
def test_a_method_of_ones_own_trains(page, method, tmp_path):
    made = page[method]
    surgery = made() if isinstance(made, type) else made
    model = small_model()
    model.compile("adam", loss={"a": "mse", "b": "mse"}, surgery=surgery)
    x = np.random.default_rng(0).normal(size=(32, 4))
    model.fit(x, {"a": x[:, :1], "b": x[:, 1:2]}, verbose=0)
    if isinstance(made, type):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        again = loaded.compiled_training.weighting.state["means"]
        np.testing.assert_array_equal(again, surgery.state["means"])
        assert not np.array_equal(again, [1, 1])
