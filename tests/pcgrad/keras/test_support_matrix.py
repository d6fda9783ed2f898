"""docs/support.md says what works with what."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from support_features import FEATURES
from support_matrix import (
    KERAS,
    MORE,
    PAGE,
    RESULTS,
    STACK,
    WORKS,
    exceptions,
    matrices,
    measure,
    pairs,
)

pytestmark = pytest.mark.long

DIAGONAL = pairs()[: len(FEATURES)]


def measured(cells):
    """In a new process, since it needs two logical devices."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
        return process.submit(measure, cells).result()


def differences(found):
    said = matrices()[STACK]
    return [
        f"{FEATURES[i].title} with {FEATURES[j].title}: {found[i, j]!r}, file: {said[i, j]!r}"
        for i, j in found
        if found[i, j] != said[i, j]
    ]


@pytest.mark.parametrize("stack", matrices())
def test_the_results_are_of_every_pair_of_features(stack):
    titles = list(json.loads(RESULTS.read_text())[stack])
    assert titles == [feature.title for feature in FEATURES]
    assert set(matrices()[stack]) == set(pairs())


def test_there_are_results_of_this_stack():
    assert STACK in matrices()


def test_the_page_lists_the_features_and_the_exceptions():
    page = PAGE.read_text()
    assert ", ".join(feature.title for feature in FEATURES) in " ".join(page.split())
    assert exceptions(matrices()) in page


def test_what_an_exception_is():
    """One feature that never works, a pair that fails with one stack only, all others work."""
    always, one, other = 2, 0, 1
    works = {pair: KERAS if always in pair else WORKS for pair in pairs()}
    table = exceptions({"old": works, "new": {**works, (other, one): MORE}})
    titles = [feature.title for feature in FEATURES]
    assert table.splitlines()[2:] == [
        f"| {titles[one]} | {titles[other]} | trains, though `keras.Model` fails (new) |",
        f"| {titles[always]} | anything | fails, as `keras.Model` does |",
    ]


@pytest.mark.slow
def test_each_feature_alone():
    assert differences(measured(DIAGONAL)) == []


@pytest.mark.slow
def test_all_pairs():
    assert differences(measured(pairs())) == []
