"""Boosted trees of awkward labels and features, and what is said of them."""

import numpy as np
import pytest

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.reference.models import fit_linear, grow
from pcgrad_tfx.reference.results import ReferenceOutcome, TaskScore
from pcgrad_tfx.reference.rows import Rows, collect

GRADE = Task(name="t", kind="multiclass", column="t", classes=("a", "b", "c"))
FLAG = Task(name="t", kind="binary", column="t")
AMOUNT = Task(name="t", kind="regression", column="t")


def rows(labels, weights=None):
    labels = np.array(labels, float)
    features = np.arange(len(labels), dtype="float32")[:, np.newaxis]
    return Rows(
        features, {"t": labels}, {"t": np.ones(len(labels)) if weights is None else weights}
    )


def linear(task, train, is_category):
    return fit_linear(task, train, is_category, penalty=1.0)


@pytest.fixture(params=[grow, linear])
def predicted(request):
    """Predictions for two rows by a model of each kind; None without a model."""

    def predict(task, train):
        model = request.param(task, train, np.array([False]))
        return model and model.predict(rows([0.0, 1.0]).features)

    return predict


@pytest.mark.parametrize("task", [GRADE, FLAG, AMOUNT])
def test_without_a_label_there_is_no_model(task, predicted):
    assert predicted(task, rows([np.nan] * 30)) is None
    assert predicted(task, rows([0.0, 1.0] * 15, np.zeros(30))) is None


def test_a_label_that_does_not_vary_is_what_is_predicted(predicted):
    assert np.ptp(predicted(FLAG, rows([1.0] * 30))) == 0
    assert predicted(AMOUNT, rows([7.0] * 30)) == pytest.approx(7)


def test_a_class_of_which_train_has_one_row_is_not_learned(predicted):
    # With more than 10,000 rows scikit-learn holds out a part, which must have all classes.
    found = predicted(GRADE, rows([*([0.0, 2.0] * 5_100), 1.0]))
    assert found.shape == (2, 3)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found[:, 1] == 0).all()


@pytest.mark.parametrize("task", [FLAG, AMOUNT])
def test_rows_count_by_their_weights(predicted, task):
    train = rows([1.0] * 30 + [0.0] * 30, np.repeat([3.0, 1.0], 30))
    train.features[:] = 0
    assert predicted(task, train) == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize("task", [FLAG, AMOUNT])
def test_a_penalty_shrinks_what_a_linear_model_learns(task):
    train = rows([0.0] * 15 + [1.0] * 15)
    models = [fit_linear(task, train, np.array([False]), 10.0**power) for power in (-2, 0, 2, 4)]
    learned = [np.ptp(model.predict(train.features)) for model in models]
    assert learned == sorted(learned, reverse=True)
    assert learned[0] > 0.5
    assert learned[-1] < 0.1


def test_rare_ids_share_the_last_one_that_trees_tell_apart():
    features = {"zip": np.arange(300), "age": np.arange(300, dtype="float32")}
    found, is_category = collect([(features, {"t": np.zeros(300)})], ["zip"], "train")
    assert is_category.tolist() == [True, False]
    assert found.features[:, 0].tolist() == [*range(254), *[254] * 46]
    assert found.features[:, 1].tolist() == [*range(300)]
    assert found.weights["t"].tolist() == [1.0] * 300
    labels = np.arange(300) % 2.0
    train = Rows(found.features, {"t": labels}, found.weights)
    for fit in (grow, linear):
        assert fit(FLAG, train, is_category).predict(train.features).shape == (300, 1)


def test_an_empty_split_is_an_error():
    with pytest.raises(ValueError, match="split 'test' is empty; add data"):
        collect([], [], "test")


@pytest.mark.parametrize(
    ("trees", "network", "test_rows", "ahead"),
    [
        (0.75, 0.72, 10_000, True),
        (0.75, 0.74, 10_000, False),
        (0.75, 0.72, 100, False),
        (0.75, 0.60, 100, True),
        (0.70, 0.90, 10_000, False),
        (None, 0.5, 0, False),
        (0.75, float("nan"), 10_000, False),
    ],
)
def test_trees_are_ahead_if_it_is_by_more_than_chance(trees, network, test_rows, ahead):
    score = TaskScore(task="t", metric="auc", value=trees, test_rows=test_rows)
    said = ReferenceOutcome(tasks=(score,), rows=9, all_rows=9).sentences({"t": network})
    sentence = (
        "Boosted trees are ahead on t: there the network, not gradient surgery, is what to improve."
    )
    assert said == [sentence] * ahead
