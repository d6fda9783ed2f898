"""One run of the whole pipeline, shared by all tests that look at what it made."""

import pytest

from local_runs import EPOCHS, run_pipeline


@pytest.fixture(scope="session")
def first_run(tmp_path_factory):
    return run_pipeline(tmp_path_factory.mktemp("taxi"), "--epochs", str(EPOCHS))


@pytest.fixture(scope="session")
def second_run(first_run):
    return run_pipeline(first_run.output, "--epochs", str(EPOCHS))
