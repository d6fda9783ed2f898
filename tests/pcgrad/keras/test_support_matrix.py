"""docs/support.md says what works with what."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from support_features import FEATURES
from support_matrix import PAGE, STACK, documented, measure, pairs, table

DIAGONAL = pairs()[: len(FEATURES)]


def measured(cells):
    """In a new process, since it needs two logical devices."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
        return process.submit(measure, cells).result()


def cells_of(page):
    rows = [line.split("|")[3:-1] for line in documented(page).splitlines()[2:]]
    return {(i, j): row[j].strip() for i, row in enumerate(rows) for j in range(i + 1)}


def differences(found):
    said = cells_of(PAGE.read_text())
    return [
        f"{FEATURES[i].title} with {FEATURES[j].title}: {found[i, j]!r}, page: {said[i, j]!r}"
        for i, j in found
        if found[i, j] != said[i, j]
    ]


def test_the_page_has_every_feature_and_this_stack():
    page = PAGE.read_text()
    assert documented(page) == table(cells_of(page)), f"no matrix for {STACK}"


def test_each_feature_alone():
    assert differences(measured(DIAGONAL)) == []


@pytest.mark.slow
def test_all_pairs():
    assert differences(measured(pairs())) == []
