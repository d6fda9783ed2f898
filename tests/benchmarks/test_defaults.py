"""Contenders get identical rows, and are scored as scikit-learn scores."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import r2_score, roc_auc_score

from benchmarks.data.tables import CHOSEN, HELD, TABLES, load
from benchmarks.defaults import run
from benchmarks.defaults.comparison import (
    behind,
    interval,
    mean_scores,
    ranks,
    read_scores,
    relative_gains,
)
from benchmarks.defaults.report import markdown
from benchmarks.defaults.rows import Prediction, split_rows
from benchmarks.defaults.scores import score

KINDS = {"amount": "regression", "yes": "binary", "colour": "multiclass"}


@pytest.fixture(scope="module")
def rows():
    """The labels follow x and the shop; some values are missing."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, 400))
    shop = random.choice(["north", "south"], 400)
    level = x + (shop == "north")
    frame = pd.DataFrame({"x": x, "noise": noise, "shop": pd.Series(shop, dtype=object)})
    frame["amount"] = 10 * level + noise
    frame["yes"] = (level > 0.5).astype(float)
    frame["colour"] = pd.cut(level, [-9, 0, 1, 9], labels=["red", "green", "blue"]).astype(object)
    for column in ("noise", "shop", *KINDS):
        frame.loc[random.choice(400, 20, replace=False), column] = np.nan
    return split_rows(frame, KINDS, seed=0)


def test_the_halves_have_each_kind_of_task_and_no_table_in_common():
    assert {*CHOSEN, *HELD} == set(TABLES)
    assert not {*CHOSEN} & {*HELD}
    for half in (CHOSEN, HELD):
        assert {kind for name in half for kind in TABLES[name].labels.values()} == {*KINDS.values()}
    assert all(len(table.labels) > 1 for table in TABLES.values())


def test_a_table_is_the_same_each_time():
    frame, kinds = load("wine")
    assert kinds.keys() < {*frame.columns}
    assert len(frame) == 178
    pd.testing.assert_frame_equal(frame, load("wine")[0])


def test_rows_are_split_by_the_seed():
    frame = pd.DataFrame({"x": range(100), "y": range(100)})
    first, again, other = (split_rows(frame, {"y": "regression"}, seed) for seed in (0, 0, 1))
    parts = [first.train, first.eval, first.test]
    assert [len(part) for part in parts] == [80, 10, 10]
    assert sorted(pd.concat(parts)["x"]) == list(range(100))
    pd.testing.assert_frame_equal(first.test, again.test)
    assert set(first.test["x"]) != set(other.test["x"])


@pytest.mark.parametrize("label", KINDS)
def test_a_contender_sees_no_label_and_only_rows_that_have_its_own(rows, label):
    problem = rows.problem(label)
    for features in (problem.train, problem.eval, problem.test):
        assert list(features) == ["x", "noise", "shop"]
    assert len(problem.train) == len(problem.train_label) == rows.train[label].notna().sum() < 320
    assert problem.eval_label.notna().all()
    assert len(problem.test) == len(rows.test)


@pytest.mark.parametrize("contender", ["linear", "trees", "tuned-trees"])
def test_contenders_learn_each_kind(rows, contender, monkeypatch):
    monkeypatch.setattr("benchmarks.defaults.trees.SETTINGS", 2)
    monkeypatch.setattr("benchmarks.defaults.trees._MOST_TREES", 60)
    predictions, _ = run.learn_labels(rows, contender)
    assert {name: len(p.values) for name, p in predictions.items()} == dict.fromkeys(KINDS, 40)
    scores = run.scores(rows, predictions)
    assert scores["amount"] > 0.7
    assert min(scores["yes"], scores["colour"]) > 0.9
    known = rows.test["colour"].notna()
    of_sklearn = roc_auc_score(
        rows.test["colour"][known],
        predictions["colour"].values[known],
        multi_class="ovr",
        labels=predictions["colour"].classes,
    )
    assert scores["colour"] == pytest.approx(of_sklearn)


def test_rows_without_a_label_are_not_scored():
    truth, values = pd.Series([1.0, np.nan, 0.0, 1.0]), np.array([0.3, 9.0, 0.4, 0.8])
    expected = r2_score([1, 0, 1], [0.3, 0.4, 0.8])
    assert score("regression", truth, Prediction(values)) == pytest.approx(expected)
    assert score("binary", truth, Prediction(values)) == 0.5
    assert score("binary", pd.Series([1.0, np.nan]), Prediction(values[:2])) is None


def test_a_class_that_was_never_seen_counts_as_guessed():
    truth = pd.Series(["a", "b", "c", "a"])
    values = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4]])
    prediction = Prediction(values, ("a", "b"))
    of_a, of_b = (
        roc_auc_score(truth == "a", values[:, 0]),
        roc_auc_score(truth == "b", values[:, 1]),
    )
    assert score("multiclass", truth, prediction) == pytest.approx((of_a + of_b + 0.5) / 3)


def run_benchmark(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
    run.main()


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    arguments = [tmp_path, "linear", "trees", "--tables", "wine", "--seeds", "0"]
    run_benchmark(monkeypatch, *arguments)
    kept = tmp_path / "wine" / "linear-0.json"
    cell = json.loads(kept.read_text())
    assert cell["scores"]["cultivar"] > 0.95
    assert cell["cpu_seconds"] > 0
    kept.write_text(json.dumps({**cell, "cpu_seconds": -1}))
    (tmp_path / "wine" / "trees-0.json").unlink()
    run_benchmark(monkeypatch, *arguments)
    scores = read_scores(tmp_path, ["linear", "trees"])
    assert list(scores["contender"]) == ["linear", "linear", "trees", "trees"]
    assert scores["seconds"].min() == -1
    assert "| wine: alcohol | R² |" in markdown(scores, ["trees"], "linear")


def test_only_seeds_that_all_have_are_compared(tmp_path, monkeypatch):
    run_benchmark(monkeypatch, tmp_path, "linear", "--tables", "wine", "--seeds", "0", "1")
    run_benchmark(monkeypatch, tmp_path, "trees", "--tables", "wine", "--seeds", "1")
    assert set(read_scores(tmp_path, ["linear"])["seed"]) == {0, 1}
    assert set(read_scores(tmp_path, ["linear", "trees"])["seed"]) == {1}


@pytest.fixture
def scores():
    """Three tasks of two tables, three seeds."""
    of_tasks = {
        ("wine", "alcohol", "regression"): {"a": [0.5, 0.6, 0.4], "b": [0.9, 1.0, 0.8]},
        ("wine", "cultivar", "multiclass"): {"a": [0.8, 0.8, 0.8], "b": [0.9, 0.6, 0.9]},
        ("taxi", "big_tip", "binary"): {"a": [0.6, 0.7, 0.5], "b": [0.5, 0.5, 0.5]},
    }
    return pd.DataFrame(
        [
            (*(table, seed, label, kind), contender, value, 1.0)
            for (table, label, kind), of_task in of_tasks.items()
            for contender, values in of_task.items()
            for seed, value in enumerate(values)
        ],
        columns=["table", "seed", "label", "kind", "contender", "score", "seconds"],
    )


def test_gains_are_relative_to_the_reference(scores):
    gains = relative_gains(scores, "b")
    # Where the reference gains nothing, there is no ratio.
    assert list(gains.index) == ["wine"]
    assert gains.loc["wine", "a"] == pytest.approx((0.5 / 0.9 + 0.3 / 0.3) / 2)
    assert relative_gains(scores, "a").loc["taxi", "b"] == 0
    assert (gains["b"] == 1).all()


def test_ranks_are_of_the_means_over_seeds(scores):
    assert mean_scores(scores).loc[("wine", "cultivar")].round(9).to_dict() == {"a": 0.8, "b": 0.8}
    assert ranks(scores).loc["wine"].to_dict() == {"a": 1.75, "b": 1.25}
    assert ranks(scores).loc["taxi"].to_dict() == {"a": 1, "b": 2}


def test_behind_is_who_is_worse_beyond_the_noise(scores):
    found = behind(scores, "a", "b")
    assert list(found.index) == [("wine", "alcohol")]
    assert found["difference"].item() == pytest.approx(-0.4)
    assert behind(scores, "b", "a").empty  # three seeds from 0 to 0.2 are little


def test_the_noise_is_that_of_overlapping_splits(scores):
    noisy = scores["contender"].eq("a") & scores["label"].eq("alcohol")
    differences = np.array([-0.142, -0.092, -0.042])
    scores.loc[noisy, "score"] = np.array([0.9, 1.0, 0.8]) + differences
    assert stats.ttest_1samp(differences, 0, alternative="less").pvalue < 0.05
    # Nadeau & Bengio (2003), equation 7, for the test split's 1 row to 8 of train.
    t = differences.mean() / np.sqrt((1 / 3 + 1 / 8) * differences.var(ddof=1))
    assert stats.t.cdf(t, 2) > 0.05
    assert behind(scores, "a", "b").empty


def test_intervals():
    low, high = interval([0.9, 1.0, 1.1, 0.95, 1.05])
    assert 0.9 < low < 1.0 < high < 1.1
    assert interval([1.0, 1.0, 1.0]) == (1.0, 1.0)
    assert np.isnan(interval([1.0, 2.0])).all()


@pytest.mark.slow
def test_the_network_learns_the_same_rows(tmp_path, monkeypatch):
    common = [tmp_path, "network", "--tables", "wine", "--seeds", "0"]
    run_benchmark(monkeypatch, *common)
    training = json.dumps({"epochs": 1, "hidden_units": [4]})
    run_benchmark(monkeypatch, *common, "--as", "tiny", "--training", training)
    scores = read_scores(tmp_path, ["network", "tiny"])
    assert set(scores["label"]) == {"cultivar", "alcohol"}
    of_cultivar = mean_scores(scores).loc[("wine", "cultivar")]
    assert of_cultivar["network"] > of_cultivar["tiny"]
    # The rows were transformed once.
    assert len(list((tmp_path / "transformed" / "wine-0").glob("transformed-*"))) == 1
