"""Set-up common to all tests of `pcgrad`."""

import os

# Read when TensorFlow is first imported, hence before the imports of the test modules.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

from pcgrad import PCGrad, PPCGrad


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same seeds, whichever tests ran before."""
    keras.utils.set_random_seed(1)


@pytest.fixture(params=[PCGrad, PPCGrad])
def surgery_class(request: pytest.FixtureRequest) -> type[PCGrad] | type[PPCGrad]:
    """Both classes: what is promised for one is promised for the other."""
    return request.param
