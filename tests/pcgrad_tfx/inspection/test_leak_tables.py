"""Leaks in made tables: all are found, and nothing is called one that is none."""

import numpy as np
import pandas as pd
import pytest

from leak_tables import MAKERS, SOLD
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.inspection.inspect_data import possible_leak
from pcgrad_tfx.inspection.label_values import label_values
from pcgrad_tfx.inspection.leakage import find_leaks

# Of those that leak, and of the others.
TABLES = (14, 15)


def leaks_of(table):
    frame = table.frame
    return find_leaks(frame, label_values(frame, table.tasks), table.features, table.tasks)


@pytest.fixture(scope="module")
def found():
    """By table: what leaks, and the columns of what was found, line by line."""
    tables = {name: maker(np.random.default_rng(0)) for name, maker in MAKERS.items()}
    lines = {
        name: [
            {leak.column, *([] if leak.with_label else [leak.other])} - {None}
            for leak in leaks_of(table)
        ]
        for name, table in tables.items()
    }
    return {name: (table.leaking, lines[name]) for name, table in tables.items()}


def test_there_are_tables_of_both_kinds(found):
    leaking = [name for name, (columns, _) in found.items() if columns]
    assert (len(leaking), len(found) - len(leaking)) == TABLES


def test_every_leak_is_found(found):
    missed = {
        name: columns - set().union(*lines)
        for name, (columns, lines) in found.items()
        if not columns <= set().union(*lines)
    }
    assert missed == {}


def test_nothing_else_is_called_a_leak(found):
    false = {
        name: line
        for name, (columns, lines) in found.items()
        for line in lines
        if not line <= columns
    }
    assert false == {}


def test_one_line_for_one_relation(found):
    assert {name: len(lines) for name, (_, lines) in found.items() if len(lines) > 1} == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "sum_of_two_labels",
            (
                "'count' and the label of registered together make casual up (R² 1.000 of their "
                "difference); exclude 'count' unless it is known before casual"
            ),
        ),
        (
            "label_is_a_ratio",
            (
                "'total' and 'area' together make price up (R² 1.000 of their ratio); exclude one "
                "of them unless both are known before price"
            ),
        ),
        (
            "body_was_found",
            (
                "within body known (9% of the rows) sold is 1 in 0.00% of these rows, in 39% of "
                "all; exclude 'body' unless it is known before sold"
            ),
        ),
    ],
)
def test_what_is_said_of_it(name, said):
    (leak,) = leaks_of(MAKERS[name](np.random.default_rng(0)))
    assert possible_leak(leak) == f"possible leak: {said}"


def test_the_strongest_comes_first():
    plan = MAKERS["amount_is_fixed_in_one_plan"](np.random.default_rng(0))
    frame = plan.frame.assign(
        euros=[value and f"{float(value) * 0.9:.3f}" for value in plan.frame["price"]]
    )
    features = Features(numeric=("euros",), categorical=("plan",))
    leaks = find_leaks(frame, label_values(frame, plan.tasks), features, plan.tasks)
    assert [leak.column for leak in leaks] == ["euros", "plan"]
    assert leaks[0].strength > leaks[1].strength > 0


def test_what_may_be_chance_among_many_is_not_said():
    """Of 30 rows none has the label, of the others a fifth: 1 in 1,000 by chance."""
    draw = np.random.default_rng(0)
    sold = np.r_[np.zeros(30, int), np.arange(170) % 5 == 0]
    frame = pd.DataFrame({"sold": map(str, sold), "color": ["red"] * 30 + ["blue"] * 170})
    (leak,) = find_leaks(
        frame, label_values(frame, [SOLD]), Features(categorical=("color",)), [SOLD]
    )
    assert leak.column == "color"
    assert 1e-4 < leak.p_value < 1e-2 / 4
    others = {f"c{place}": draw.choice(list("abcd"), 200) for place in range(60)}
    frame = frame.assign(**others)
    features = Features(categorical=("color", *others))
    assert find_leaks(frame, label_values(frame, [SOLD]), features, [SOLD]) == []
