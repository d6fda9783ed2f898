"""What several test files share, above all one run of the whole pipeline."""

import pytest

import kubeflow_runs
from local_runs import EPOCHS, run_pipeline


@pytest.fixture(scope="session")
def first_run(tmp_path_factory):
    return run_pipeline(tmp_path_factory.mktemp("taxi"), "--epochs", str(EPOCHS))


@pytest.fixture(scope="session")
def second_run(first_run):
    return run_pipeline(first_run.output, "--epochs", str(EPOCHS))


@pytest.fixture
def write_config(tmp_path):
    """Writes a configuration file."""

    def write(text):
        path = tmp_path / "trips.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Compiles with some options, once."""
    folder, files = tmp_path_factory.mktemp("compiled"), {}

    def compile_once(target, *arguments):
        key = (target, *arguments)
        if key not in files:
            path = folder / f"{len(files)}.{kubeflow_runs.SUFFIX[target]}"
            files[key] = kubeflow_runs.compile_for(target, path, *arguments)
        return files[key]

    return compile_once
