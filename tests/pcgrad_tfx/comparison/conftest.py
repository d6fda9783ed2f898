"""What tests of comparisons share."""

import pytest

from comparison_runs import write_test_split


@pytest.fixture(scope="session")
def test_examples(tmp_path_factory):
    return write_test_split(tmp_path_factory.mktemp("test_examples"))
