"""The reproduction of the paper's claims: its problems, its fairness, its statistics, its files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits

from benchmarks.paper import plots, tasks, valley
from benchmarks.paper.differences import paired_difference
from benchmarks.paper.digits import OFFSET, SIDE, overlaid_digits, overlay
from benchmarks.paper.training import Problem, Trainer


def test_the_valley_is_the_papers():
    """Appendix D, at its start and where the valleys meet."""
    first, second = (float(x) for x in valley.task_losses(np.array([0.5, -3.0])))
    assert first == pytest.approx(20 * np.log(abs(0.25 + np.tanh(-3))))
    assert second == pytest.approx(25 * np.log(abs(0.25 - np.tanh(-3) + 2)))
    met = sum(float(x) for x in valley.task_losses(np.array([-2.0, 20.0])))
    assert met == pytest.approx(45 * np.log(5e-6))


def test_pcgrad_leaves_the_valley_where_adam_stalls():
    """From the figure's start, with its learning rate and number of steps."""
    runs = {
        method: valley.Descent(method, [valley.PAPER_START]).run(
            valley.PAPER_LEARNING_RATE, valley.PAPER_STEPS
        )
        for method in ("Adam", "PCGrad + Adam")
    }
    adam, pcgrad = runs["Adam"], runs["PCGrad + Adam"]
    assert pcgrad["final_loss"][0] < adam["final_loss"][0] - 100
    # The valleys meet at (-2, ∞).
    assert abs(pcgrad["path"][0, -1, 0] + 2) < 0.1
    assert abs(adam["path"][0, -1, 0] + 2) > 2
    assert adam["conflicting"][0] > 0.3


def test_starts_do_not_influence_each_other():
    starts = [(-3.0, 0.0), (1.0, 2.0)]
    both = valley.Descent("PCGrad + Adam", starts).run(1e-3, 50)
    alone = valley.Descent("PCGrad + Adam", starts[1:]).run(1e-3, 50)
    np.testing.assert_allclose(both["path"][1], alone["path"][0], rtol=1e-9)


def test_overlay_places_the_digits():
    first, second = np.full((1, SIDE, SIDE), 0.5), np.full((1, SIDE, SIDE), 0.25)
    canvas = overlay(first.astype(np.float32), second.astype(np.float32))[0]
    assert canvas.shape == (12, 12)
    assert np.all(canvas[:SIDE, :SIDE] == 0.5)
    assert np.all(canvas[SIDE:, OFFSET:] == 0.25)
    assert np.all(canvas[OFFSET:, SIDE:] == 0.25)
    assert not canvas[:OFFSET, SIDE:].any()
    assert not canvas[SIDE:, :OFFSET].any()


def test_splits_share_no_base_image():
    parts = overlaid_digits(3, (900, 300, 300))
    sources = [set(part.sources.ravel()) for part in parts]
    assert not sources[0] & sources[1]
    assert not sources[0] & sources[2]
    assert not sources[1] & sources[2]
    digits = load_digits()
    for part in parts:
        np.testing.assert_array_equal(part.labels, digits.target[part.sources])
        corner = digits.images[part.sources[:, 0]][:, :OFFSET] / 16
        np.testing.assert_allclose(part.images[:, :OFFSET, :SIDE], corner)
    assert np.any(overlaid_digits(4, (900, 300, 300))[0].sources != parts[0].sources)


@pytest.fixture(scope="module")
def trainers():
    problem = Problem(8, one_head=True, scales=(1.0, 5.0))
    return {surgery: Trainer(problem, surgery) for surgery in (False, True)}


def train(trainer, seed=0, learning_rate=3e-3, ratio=1.0):
    parts = overlaid_digits(seed, (512, 64, 128))
    return trainer.run(seed, parts, learning_rate, ratio, steps=60, batch=64)


def test_methods_start_from_the_same_weights(trainers):
    """Without a step they give the same results, and see the same conflicts."""
    plain, surgery = (train(trainer, learning_rate=0.0) for trainer in trainers.values())
    assert plain["test"] == surgery["test"]
    assert plain["conflicting"] == surgery["conflicting"]
    assert plain["test"] != train(trainers[False], seed=1, learning_rate=0.0)["test"]


def test_a_run_depends_on_nothing_before_it(trainers):
    first = train(trainers[True])
    train(trainers[True], seed=1)
    assert train(trainers[True]) == first


def test_two_labels_on_one_head_conflict(trainers):
    """The larger loss wins, less so with surgery, and not with weights that undo the scales."""
    plain, surgery = train(trainers[False]), train(trainers[True])
    undone = train(trainers[False], ratio=5.0)
    assert plain["conflicting"] > 0.5
    gap = {
        name: np.subtract(*run["test"]["cross_entropy"])
        for name, run in (("plain", plain), ("surgery", surgery), ("undone", undone))
    }
    assert gap["plain"] > gap["surgery"] > 0
    assert gap["plain"] > abs(gap["undone"])
    weighted = np.dot([1, 5], plain["test"]["cross_entropy"])
    assert plain["test"]["scaled_sum"] == [pytest.approx(weighted)]


def test_runs_are_chosen_on_the_validation_split():
    runs = [
        {"validation": {"accuracy": [a, 0.5], "cross_entropy": [1 - a, 1]}, "test": {}, "a": a}
        for a in (0.1, 0.7, 0.3)
    ]
    assert tasks.choose(runs, "accuracy")["a"] == 0.7
    assert tasks.choose(runs, "cross_entropy")["a"] == 0.7


def test_paired_differences_are_scipys():
    rng = np.random.default_rng(0)
    ours, others = rng.normal(size=(2, 10))
    found = paired_difference(ours, others)
    expected = stats.ttest_rel(ours, others).confidence_interval()
    assert found.mean == pytest.approx(np.mean(ours - others))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    same = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_single_seeds_have_no_interval():
    with pytest.raises(ValueError, match="two seeds"):
        paired_difference([1.0], [2.0])
    with pytest.raises(ValueError, match="no pairs"):
        paired_difference([1.0, 2.0], [2.0])


@pytest.mark.slow
def test_the_script(tmp_path):
    options = ["--seeds", "2", "--quick", "--only", "valley", "two_labels", "--output", tmp_path]
    command = [sys.executable, "benchmarks/paper/reproduce.py", *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "PCGrad minus the other method" in printed
    found = json.loads((tmp_path / "paper.json").read_text())
    assert found["seeds"] == 2
    rows = found["valley"]["rows"]
    assert {row["method"] for row in rows} == set(valley.METHODS)
    (result,) = found["tasks"]
    for rates in ("common", "tuned"):
        methods = result[rates]["methods"]
        assert set(methods) == set(tasks.METHODS)
        assert set(methods["equal weights"]["ratio"]) == {1.0}
        assert rates == "tuned" or set(methods["PCGrad"]["learning_rate"]) == {3e-3}
        for row in result[rates]["differences"]:
            assert row["low"] <= row["mean"] <= row["high"]
    for name in ("valley.svg", "paper.svg"):
        text = (tmp_path / name).read_text()
        assert "<svg" in text
        assert len(text) < 150_000
    plots.differences(found["tasks"], tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == (tmp_path / "paper.svg").read_text()
