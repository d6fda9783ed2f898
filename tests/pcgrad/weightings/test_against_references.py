"""Each method that looks at the Gram matrix against an independent computation from its paper."""

import numpy as np
import pytest
import tensorflow as tf

import pcgrad
import weighting_references as references
from gradient_families import FAMILIES, task_gradients_of

# Method, reference, arguments of both.
METHODS = {
    "Normalized": (pcgrad.Normalized, references.normalized, {}),
    "MGDA": (pcgrad.MGDA, references.mgda, {}),
    "DualProj": (pcgrad.DualProj, references.dual_proj, {}),
    "UPGrad": (pcgrad.UPGrad, references.upgrad, {}),
    "CAGrad, c = 0.2": (pcgrad.CAGrad, references.cagrad, {"c": 0.2}),
    "CAGrad, c = 0.9": (pcgrad.CAGrad, references.cagrad, {"c": 0.9}),
    "CAGrad, c = 3": (pcgrad.CAGrad, references.cagrad, {"c": 3.0}),
    "IMTLG": (pcgrad.IMTLG, references.imtl_g, {}),
    "ConFIG": (pcgrad.ConFIG, references.config, {}),
    "AlignedMTL": (pcgrad.AlignedMTL, references.aligned_mtl, {}),
    "NashMTL": (pcgrad.NashMTL, references.fair_grad, {"alpha": 1.0}),
    "FairGrad, alpha = 0.5": (pcgrad.FairGrad, references.fair_grad, {"alpha": 0.5}),
    "FairGrad, alpha = 2": (pcgrad.FairGrad, references.fair_grad, {"alpha": 2.0}),
    "FairGrad, alpha = 10": (pcgrad.FairGrad, references.fair_grad, {"alpha": 10.0}),
    "PrimaryTask": (pcgrad.PrimaryTask, references.primary_task, {"task": 0}),
}
# Of the update's length, or of 1e-3 of the longest gradient's where the update is about zero, or of
# the longest gradient's where it is zero.
TOLERANCE = 1e-6


def update_of(weighting, gradients):
    weights = weighting(tf.constant(gradients @ gradients.T)).numpy()
    assert np.isfinite(weights).all()
    return gradients.T @ weights


def relative_difference(name, gradients):
    """The difference between our update and the reference's, relative to the reference's length."""
    make, reference, arguments = METHODS[name]
    ours = update_of(make() if make is pcgrad.NashMTL else make(**arguments), gradients)
    there = np.linalg.norm(gradients, axis=1) > 0
    theirs = reference(gradients[there], **arguments)
    scale = max(np.linalg.norm(theirs), 1e-3 * np.linalg.norm(gradients, axis=1).max())
    if not theirs.any():
        scale = np.linalg.norm(gradients, axis=1).max()
    if make in (pcgrad.NashMTL, pcgrad.FairGrad):  # of another unit than the gradients
        scale = np.linalg.norm(theirs)
    return np.linalg.norm(ours - theirs) / scale


def is_defined(name, family, tasks):
    if family == "one_zero" and tasks == 1:
        return False
    if name == "PrimaryTask":
        return family != "one_zero"
    if name == "IMTLG":
        return family != "dependent"
    if "alpha" in METHODS[name][2]:
        # Gradients that cancel each other have no solution; SciPy does not find that of the other.
        return family != "dependent" and (family != "unequal" or name == "NashMTL")
    return True


CASES = [
    (name, family, tasks)
    for name in METHODS
    for family in FAMILIES
    for tasks in (1, 2, 3, 6, 20)
    if is_defined(name, family, tasks) and not (tasks == 20 and "CAGrad" in name)
]


@pytest.mark.parametrize(("name", "family", "tasks"), CASES)
def test_reference(name, family, tasks):
    assert relative_difference(name, task_gradients_of(family, tasks)) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [4, 10, 20, 50])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_reference_of_more_gradients(name, family, tasks):
    if is_defined(name, family, tasks):
        for seed in range(1, 6):
            gradients = task_gradients_of(family, tasks, seed)
            assert relative_difference(name, gradients) < TOLERANCE, seed


@pytest.mark.parametrize("scale", [1e-15, 1e-8, 1e8, 1e15])
@pytest.mark.parametrize("name", METHODS)
def test_reference_at_other_scales(name, scale):
    gradients = task_gradients_of("random", 5)
    make, _, arguments = METHODS[name]
    ours = update_of(make() if make is pcgrad.NashMTL else make(**arguments), scale * gradients)
    theirs = METHODS[name][1](gradients, **arguments)
    # The power of the scale that the update takes; the weights' is tested for all methods.
    if make is pcgrad.FairGrad:
        power = (1 - arguments["alpha"]) / (1 + arguments["alpha"])
    else:
        power = 0 if make in (pcgrad.NashMTL, pcgrad.Normalized) else 1
    np.testing.assert_allclose(
        ours / scale**power, theirs, atol=TOLERANCE * np.linalg.norm(theirs), rtol=0
    )


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("family", ["random", "aligned", "nearly_opposite", "unequal"])
@pytest.mark.parametrize("tasks", [1, 2, 5, 20])
def test_equation_of_fairgrad(family, tasks, alpha):
    gradients = task_gradients_of(family, tasks)
    gramian = gradients @ gradients.T
    weights = pcgrad.FairGrad(alpha)(gramian).numpy()
    assert (weights > 0).all()
    error = gramian @ weights - weights ** (-1 / alpha)
    # Rounding counts relative to the largest of the terms that are summed.
    terms = np.abs(gramian) @ weights
    np.testing.assert_allclose(error / terms, 0, atol=1e-8)


@pytest.mark.parametrize("family", ["random", "aligned", "nearly_opposite", "unequal"])
@pytest.mark.parametrize("tasks", [1, 2, 5, 20])
def test_gradvac(family, tasks):
    """Over several steps, so that targets matter."""
    vaccine = pcgrad.GradVac(beta=0.3, seed=7)
    targets = np.zeros([tasks, tasks])
    for step in range(4):
        gradients = task_gradients_of(family, tasks, seed=step)
        orders = pcgrad.projection_orders(7, step, tasks).numpy()
        theirs, targets = references.grad_vac(gradients, targets, 0.3, orders)
        ours = gradients.T @ vaccine(gradients @ gradients.T, step).numpy()
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * np.linalg.norm(theirs), rtol=0)


def test_gradvac_without_memory_is_pcgrad():
    gradients = task_gradients_of("nearly_opposite", 6)
    gramian = tf.constant(gradients @ gradients.T)
    plain = pcgrad.PCGrad(reduction="sum", seed=3)(gramian, step=11)
    np.testing.assert_allclose(pcgrad.GradVac(beta=0.0, seed=3)(gramian, step=11), plain)


def test_cagrad_between_opposite_gradients():
    """No direction is good for both, but the ball has a vector that hurts neither."""
    gramian = tf.constant([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 4.0]], tf.float64)
    weights = pcgrad.CAGrad(c=0.5)(gramian).numpy()
    products = gramian.numpy() @ weights
    np.testing.assert_allclose(products[:2], 0, atol=1e-6)
    assert products[2] > 0


def test_cagrad_that_may_go_back_to_zero():
    """Gradients that cancel each other, and a ball that contains zero, the only common solution."""
    gradients = task_gradients_of("dependent", 20)
    update = update_of(pcgrad.CAGrad(c=3.0), gradients)
    assert np.linalg.norm(update) < 1e-4 * np.linalg.norm(gradients.mean(axis=0))


def test_pareto_stationary_gradients_give_no_update():
    """Three gradients in a plane that cancel each other."""
    angles = 2 * np.pi * np.arange(3) / 3
    gradients = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1.0], [2.0], [3.0]]
    for method in (pcgrad.MGDA(), pcgrad.UPGrad(), pcgrad.DualProj()):
        np.testing.assert_allclose(update_of(method, gradients), 0, atol=1e-6)
    for method in (pcgrad.NashMTL(), pcgrad.FairGrad(alpha=2.0)):
        assert np.linalg.norm(update_of(method, gradients)) < 1e-2
