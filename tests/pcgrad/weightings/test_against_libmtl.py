"""The methods against LibMTL's, in an environment of its own that has PyTorch (6 GB)."""

import numpy as np
import pytest
import tensorflow as tf

import pcgrad
from foreign_updates import foreign_updates
from gradient_families import task_gradients_of

pytestmark = pytest.mark.slow

PROBLEMS = {
    f"{family}/{tasks}": task_gradients_of(family, tasks)
    for family in ("random", "aligned", "nearly_opposite")
    for tasks in (2, 3, 6)
}
# Method, tolerance, and for how many tasks it is the same: orders are drawn otherwise, and its
# CAGrad is written for three.
METHODS = {
    "CAGrad": (lambda: pcgrad.CAGrad(c=0.4), 1e-3, (3,)),
    "GLS": (pcgrad.GeometricMean, 1e-9, (2, 3, 6)),
    "GradVac": (lambda: pcgrad.GradVac(beta=0.3), 1e-9, (2,)),
    "IMTLG": (pcgrad.IMTLG, 1e-6, (2, 3, 6)),
    "PCGrad": (lambda: pcgrad.PCGrad("sum"), 1e-9, (2,)),
}


def our_update(make, gradients):
    arguments = [tf.constant(gradients @ gradients.T), 0]
    weighting = make()
    if getattr(weighting, "needs_losses", False):
        arguments.append(tf.range(1, len(gradients) + 1, dtype=tf.float64))
    return gradients.T @ weighting(*arguments).numpy()


@pytest.fixture(scope="module")
def updates():
    """LibMTL's updates by "method/problem"."""
    return foreign_updates(["LibMTL==1.1.5", "scipy"], "libmtl_updates.py", PROBLEMS)


@pytest.mark.parametrize("name", METHODS)
def test_same_updates(name, updates):
    make, tolerance, tasks = METHODS[name]
    differences = {}
    for problem, gradients in PROBLEMS.items():
        if len(gradients) in tasks:
            theirs = updates[f"{name}/{problem}"]
            scale = max(np.linalg.norm(theirs), 1e-3 * np.linalg.norm(gradients, axis=1).max())
            differences[problem] = np.linalg.norm(our_update(make, gradients) - theirs) / scale
    print(f"{name}: largest difference {max(differences.values()):.0e}")
    assert max(differences.values()) < tolerance, differences


def test_mgda_is_at_least_as_short(updates):
    """Its Frank-Wolfe method comes near to the shortest vector, from outside."""
    for problem, gradients in PROBLEMS.items():
        theirs = np.linalg.norm(updates[f"MGDA/{problem}"])
        assert np.linalg.norm(our_update(pcgrad.MGDA, gradients)) <= theirs * (1 + 1e-9), problem
