"""Columns that give a label away are found, and those that do not are left alone."""

import re

import numpy as np
import pandas as pd
import pytest

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.csv_checks import check_csv, csv_location
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.inspection.label_values import label_values
from pcgrad_tfx.inspection.leakage import find_leaks

ROWS = 3000


def leaks_of(frame, features, tasks):
    return find_leaks(frame, label_values(frame, tasks), features, tasks)


@pytest.fixture(scope="module")
def taxi():
    config = load_config(DEFAULT_CONFIG)
    sample = RowSample()
    check_csv(*csv_location(config.data.location), sample=sample)
    return config, sample.frame()


def test_the_taxi_features_raise_no_false_alarm(taxi):
    config, frame = taxi
    assert leaks_of(frame, config.features, config.tasks) == []


def test_payment_type_gives_the_tip_away(taxi):
    config, frame = taxi
    features = Features(categorical=("payment_type", "company"), numeric=("pickup_latitude",))
    (leak,) = leaks_of(frame, features, config.tasks)
    assert (leak.column, leak.task) == ("payment_type", "big_tip")
    assert leak.subgroup == "payment_type = 'Cash' (65% of the rows)"
    assert leak.score is None
    assert str(leak).startswith("within payment_type = 'Cash' (65% of the rows) big_tip is 1 in 0.")


def test_the_tip_itself_gives_the_big_tip_away(taxi):
    config, frame = taxi
    leaks = leaks_of(frame, Features(numeric=("tips",)), config.tasks[:1])
    # Not alone, for the fare decides with it; but without a tip it is not big.
    assert [leak.subgroup.split(" (")[0] for leak in leaks] == ["tips = 0"]


def table(**columns):
    return pd.DataFrame({name: [str(v) for v in values] for name, values in columns.items()})


@pytest.fixture
def random():
    return np.random.default_rng(0)


BINARY = Task(name="sold", kind="binary", column="sold")
AMOUNT = Task(name="price", kind="regression", column="price")
KIND = Task(name="kind", kind="multiclass", column="kind", classes=("a", "b", "c"))


@pytest.mark.parametrize("as_category", [True, False])
def test_a_copy_of_the_label_predicts_it_alone(random, as_category):
    sold = random.integers(0, 2, ROWS)
    copy = np.where(random.random(ROWS) < 0.01, 1 - sold, sold)
    noise = random.integers(0, 2, ROWS)
    frame = table(sold=sold, copy=copy, noise=noise)
    group = "categorical" if as_category else "numeric"
    (leak,) = leaks_of(frame, Features(**{group: ("copy", "noise")}), [BINARY])
    assert (leak.column, leak.subgroup) == ("copy", None)
    assert 0.98 <= leak.score <= 1
    assert str(leak) == f"'copy' alone predicts sold almost perfectly (AUC {leak.score:.3f})"


def test_an_amount_in_another_currency_predicts_it_alone(random):
    price = random.lognormal(3, 1, ROWS)
    frame = table(price=price, euros=0.9 * price + random.normal(0, 0.01, ROWS))
    (leak,) = leaks_of(frame, Features(numeric=("euros",)), [AMOUNT])
    assert leak.column == "euros"
    assert str(leak) == "'euros' alone predicts price almost perfectly (R² 1.000)"


def test_an_amount_is_looked_at_on_the_scale_that_is_learned(random):
    """As it is, the largest of these amounts are nearly all of the variance."""
    x = random.normal(0, 3, ROWS)
    frame = table(price=np.exp(10 + x), x=x)
    features = Features(numeric=("x",))
    (leak,) = leaks_of(frame, features, [AMOUNT.model_copy(update={"log_scale": True})])
    assert str(leak) == "'x' alone predicts price almost perfectly (R² 1.000)"
    assert leaks_of(frame, features, [AMOUNT]) == []


def test_labels_that_make_each_other_up_are_no_leak(random):
    """There is no feature that could be left out."""
    adults, children, other = random.normal(10, 2, (3, ROWS))
    labels = {"adults": adults, "children": children, "guests": adults + children}
    tasks = [Task(name=name, kind="regression", column=name) for name in labels]
    assert leaks_of(table(**labels, other=other), Features(numeric=("other",)), tasks) == []


def test_a_column_to_be_bucketized_is_one_of_numbers(random):
    """As texts, all different, these would tell nothing."""
    price = random.lognormal(3, 1, ROWS)
    frame = table(price=price, euros=0.9 * price)
    (leak,) = leaks_of(frame, Features(bucketized={"euros": 20}), [AMOUNT])
    assert str(leak).startswith("'euros' alone predicts price almost perfectly (R² 1.000)")


def test_a_code_of_the_class_predicts_it_alone(random):
    kind = random.choice(["a", "b", "c"], ROWS)
    code = [{"a": "x", "b": "y", "c": "z"}[value] for value in kind]
    (leak,) = leaks_of(table(kind=kind, code=code), Features(categorical=("code",)), [KIND])
    assert leak.score == pytest.approx(1)


def test_that_a_value_is_missing_can_give_the_label_away(random):
    sold = random.integers(0, 2, ROWS)
    date = np.where((sold == 0) & (random.random(ROWS) < 0.3), "", random.integers(0, 90, ROWS))
    frame = table(sold=sold, days=date)
    for features in (Features(numeric=("days",)), Features(categorical=("days",))):
        (leak,) = leaks_of(frame, features, [BINARY])
        assert leak.subgroup.startswith("days missing (")


def test_a_missing_number_is_none_of_those_that_are_there(random):
    """Else the column alone would predict less: 2 is the mean of the others."""
    sold = random.integers(0, 2, ROWS)
    cells = np.where(sold == 1, "", random.integers(1, 4, ROWS).astype(str))
    (leak,) = leaks_of(table(sold=sold, cells=cells), Features(numeric=("cells",)), [BINARY])
    assert (leak.subgroup, leak.score) == (None, 1.0)


def test_few_missing_values_give_a_rare_label_away(random):
    """As of flights that are cancelled before they get a plane: 0.7% of the rows."""
    cancelled = (random.random(10 * ROWS) < 0.03).astype(int)
    planes = random.choice([f"N{i}" for i in range(40)], 10 * ROWS)
    plane = np.where((cancelled == 1) & (random.random(10 * ROWS) < 0.25), "", planes)
    # By chance 40 rows have no 1, which 3 in 100 have.
    seats = np.where((cancelled == 0) & (np.arange(10 * ROWS) < 40), "", "100")
    frame = table(sold=cancelled, plane=plane, seats=seats)
    (leak,) = leaks_of(frame, Features(categorical=("plane", "seats")), [BINARY])
    assert leak.subgroup.startswith("plane missing (1%")
    assert leak.finding == "sold is 1 in 100.00% of these rows, in 3% of all"


def test_from_how_many_rows_on_is_what_the_guide_says(random):
    guide = (DEFAULT_CONFIG.parents[2] / "docs" / "own-data.md").read_text()
    pattern = (
        r"value of at least (\d+)% of the rows\s+\(and (\d+) rows\).* missing one of .* (\d+) rows"
    )
    percent, least, missing = map(int, re.search(pattern, guide).groups())
    assert least == missing
    sold = random.integers(0, 2, ROWS)
    price = random.normal(50, 20, ROWS)

    def reported(rows, value):
        color = random.choice(list("rgbcmyk"), ROWS).astype(object)
        color[:rows] = value
        flat = np.arange(ROWS) < rows
        frame = table(sold=np.where(flat, 1, sold), price=np.where(flat, 9, price), color=color)
        leaks = leaks_of(frame, Features(categorical=("color",)), [BINARY, AMOUNT])
        return sorted(leak.task for leak in leaks)

    share = ROWS * percent // 100
    assert reported(share, "x") == reported(share, "") == ["price", "sold"]
    assert reported(share - 1, "x") == []
    assert reported(missing, "") == ["sold"]
    assert reported(missing - 1, "") == []


def test_a_group_in_which_the_amount_does_not_vary(random):
    free = random.random(ROWS) < 0.2
    price = np.where(free, 5.0, random.normal(50, 20, ROWS))
    plan = np.where(free, "free", random.choice(["basic", "full"], ROWS))
    (leak,) = leaks_of(table(price=price, plan=plan), Features(categorical=("plan",)), [AMOUNT])
    assert leak.subgroup.startswith("plan = 'free' (")
    assert leak.finding == "price hardly varies"


def test_a_class_of_one_group_only(random):
    kind = random.choice(["a", "b", "c"], ROWS)
    island = np.where((kind == "a") & (random.random(ROWS) < 0.3), "south", "north")
    (leak,) = leaks_of(table(kind=kind, island=island), Features(categorical=("island",)), [KIND])
    assert leak.finding.startswith("kind is 'a' in 100.00% of these rows, in 3")


def test_good_features_are_no_leaks(random):
    """AUC 0.92 and R² 0.9 are what one hopes for."""
    signal = random.normal(size=ROWS)
    sold = (signal + 0.5 * random.normal(size=ROWS) > 0).astype(int)
    price = 10 + signal + 0.33 * random.normal(size=ROWS)
    frame = table(signal=signal, sold=sold, price=price)
    assert leaks_of(frame, Features(numeric=("signal",)), [BINARY, AMOUNT]) == []


def test_a_name_that_few_rows_have_is_no_leak(random):
    """By chance many of these names have one label only; new rows with them have another."""
    names = [f"n{i}" for i in random.integers(0, ROWS, ROWS)]
    frame = table(sold=random.integers(0, 2, ROWS), name=names)
    assert leaks_of(frame, Features(categorical=("name",)), [BINARY]) == []


def test_a_rare_label_is_rare_in_subgroups_too(random):
    frame = table(
        sold=(random.random(ROWS) < 0.02).astype(int), color=random.choice(list("rgbcmyk"), ROWS)
    )
    assert leaks_of(frame, Features(categorical=("color",)), [BINARY]) == []


@pytest.mark.parametrize("label", ["", "1"])
def test_without_labels_that_vary_there_is_nothing_to_give_away(label):
    frame = table(sold=[label] * 100, color=["r", "g"] * 50)
    assert leaks_of(frame, Features(categorical=("color",)), [BINARY]) == []
