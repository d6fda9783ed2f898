"""Training under TensorFlow's global switches gives what it gives without them."""

import json
import subprocess
import sys

import numpy as np
import pytest

import global_switches


@pytest.fixture(scope="module")
def expected():
    return global_switches.results()


@pytest.mark.slow
@pytest.mark.parametrize("switch", ["check numerics", "numpy behavior"])
def test_the_same_under(switch, expected):
    """Nothing on the way may be infinite or NaN, nor may dtypes be promoted."""
    command = [sys.executable, global_switches.__file__, switch]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
