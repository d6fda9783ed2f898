"""What tests of all storeys share."""

import gc
import pathlib
import subprocess
import sys

import pytest
from hypothesis import settings

# Examples are the same in every run (a red test stays red), and tracing a new shape takes long.
settings.register_profile("ours", max_examples=15, deadline=None, derandomize=True, database=None)
settings.load_profile("ours")

ROOT = pathlib.Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """Long files come first: a worker takes a whole file, and the last ones should be short."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="module", autouse=True)
def _small_heap():
    """Collections of garbage look at what the module itself makes.

    TensorFlow, TFX and what earlier modules left make a full one take half a second and more, and
    statsmodels runs one in each correction.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from this source."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True, stdout=subprocess.PIPE)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="session")
def wheel_path(wheel, tmp_path_factory):
    """A folder that the wheel is installed in and nothing else, for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", folder, wheel]
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return folder
