"""The methods against TorchJD's, in an environment of its own that has PyTorch (6 GB)."""

import numpy as np
import pytest

from foreign_updates import foreign_updates
from gradient_families import task_gradients_of
from weighting_methods import METHODS

pytestmark = pytest.mark.slow

PROBLEMS = {
    f"{family}/{tasks}": task_gradients_of(family, tasks)
    for family in ("random", "aligned", "nearly_opposite")
    for tasks in (2, 3, 6, 20)
}
# As exact as TorchJD's solvers are: QPs by quadprog, SciPy's least squares, a sequence of cone
# programs (Nash-MTL), Clarabel's default accuracy (CAGrad).
TOLERANCES = {
    "AlignedMTL": 1e-9,
    "ConFIG": 1e-9,
    "IMTLG": 1e-9,
    "DualProj": 1e-6,
    "UPGrad": 1e-6,
    "FairGrad": 1e-6,
    "GradVac": 1e-9,
    "NashMTL": 1e-5,
    "CAGrad": 1e-3,
}


def relative_difference(method, problem, theirs):
    """Relative to the update's length, or to 1e-3 of the longest gradient's if that is more."""
    gradients = PROBLEMS[problem]
    scale = max(np.linalg.norm(theirs), 1e-3 * np.linalg.norm(gradients, axis=1).max())
    return np.linalg.norm(our_update(method, problem) - theirs) / scale


def our_update(method, problem):
    gradients = PROBLEMS[problem]
    weighting, gramian = METHODS[method].make(), gradients @ gradients.T
    weights = weighting(gramian, 0)
    if method == "GradVac":  # the first step only begins the mean
        weights = weighting(gramian, 1)
    return gradients.T @ weights.numpy()


@pytest.fixture(scope="module")
def updates():
    """TorchJD's updates by "method/problem"."""
    return foreign_updates(["torchjd[full]==0.18.0"], "torchjd_updates.py", PROBLEMS)


@pytest.mark.parametrize("method", TOLERANCES)
def test_same_updates(method, updates):
    # TorchJD draws other orders, which do not matter between two tasks.
    problems = [each for each in PROBLEMS if method != "GradVac" or each.endswith("/2")]
    differences = {
        problem: relative_difference(method, problem, updates[f"{method}/{problem}"])
        for problem in problems
    }
    print(f"{method}: largest difference {max(differences.values()):.0e}")
    assert max(differences.values()) < TOLERANCES[method], differences


def test_mgda_is_at_least_as_short(updates):
    """TorchJD's Frank-Wolfe method comes near to the shortest vector, from outside."""
    for problem in PROBLEMS:
        theirs = updates[f"MGDA/{problem}"]
        ours = our_update("MGDA", problem)
        assert np.linalg.norm(ours) <= np.linalg.norm(theirs) * (1 + 1e-9), problem
        if not problem.startswith("nearly"):
            assert relative_difference("MGDA", problem, theirs) < 1e-2, problem
