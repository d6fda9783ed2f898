"""Set-up common to the tests of `MultiTaskModel`."""

import pytest

from multitask_models import MODES


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> dict[str, bool]:
    return MODES[request.param]
