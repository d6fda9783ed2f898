"""Updates of the methods of `pcgrad.weightings.from_gramian`, from the gradients themselves.

NumPy and SciPy, float64, written from the papers. Each takes the gradients J, [T, dimensions], none
of which is zero, and returns the update, [dimensions].
"""

from __future__ import annotations

import numpy as np
from scipy import optimize


def normalized(gradients: np.ndarray) -> np.ndarray:
    return sum(gradient / np.linalg.norm(gradient) for gradient in gradients)


def mgda(gradients: np.ndarray) -> np.ndarray:
    """The point of the convex hull that is nearest to zero."""
    return gradients.T @ _nearest_weights(gradients)


def dual_proj(gradients: np.ndarray) -> np.ndarray:
    return _projected_on_dual_cone(gradients.mean(axis=0), gradients)


def upgrad(gradients: np.ndarray) -> np.ndarray:
    return np.mean([_projected_on_dual_cone(each, gradients) for each in gradients], axis=0)


def cagrad(gradients: np.ndarray, c: float) -> np.ndarray:
    """By the radius: with `s = c ‖g_0‖ / ‖g_w‖`, w is MGDA's for the gradients `g_t + g_0 / s`."""
    mean = gradients.mean(axis=0)
    radius = c * np.linalg.norm(mean)

    def offset(log_s: float) -> np.ndarray:
        s = np.exp(log_s)
        return s * (gradients.T @ _nearest_weights(gradients + mean / s))

    longest = np.linalg.norm(gradients, axis=1).max()
    low, high = np.log(radius / longest) - 1, np.log(radius / longest) + 30
    if np.linalg.norm(offset(high)) < radius:
        # g_w is zero, so that some task always gains nothing; the ball has the zero update.
        return np.zeros_like(mean)

    def excess(log_s):
        return np.log(np.linalg.norm(offset(log_s)) / radius)

    return mean + offset(optimize.brentq(excess, low, high, xtol=1e-14, rtol=1e-14))


def imtl_g(gradients: np.ndarray) -> np.ndarray:
    """The paper's closed form, by differences from the first task; of independent gradients."""
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    d, u = gradients[0] - gradients[1:], units[0] - units[1:]
    others = gradients[0] @ u.T @ np.linalg.inv(d @ u.T)
    return (1 - others.sum()) * gradients[0] + others @ gradients[1:]


def config(gradients: np.ndarray) -> np.ndarray:
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    direction = np.linalg.pinv(units, rcond=1e-9).sum(axis=1)
    direction /= np.linalg.norm(direction)
    return (gradients @ direction).sum() * direction


def aligned_mtl(gradients: np.ndarray) -> np.ndarray:
    """By the gradients' singular values instead of the Gram matrix's eigenvalues."""
    left, values, right = np.linalg.svd(gradients, full_matrices=False)
    kept = values**2 > len(gradients) * np.finfo(np.float32).eps * values[0] ** 2
    aligned = values[kept].min() * left[:, kept] @ right[kept]
    return aligned.sum(axis=0)


def fair_grad(gradients: np.ndarray, alpha: float) -> np.ndarray:
    """`G w = w^(−1/alpha)` in log w, from orthogonal gradients to the given ones step by step."""
    gramian = gradients @ gradients.T
    norms = np.linalg.norm(gradients, axis=1)
    cosines = gramian / norms / norms[:, np.newaxis]
    log_norms = np.log(norms)

    def solve(share: float, start: np.ndarray) -> np.ndarray:
        mixed = share * cosines + (1 - share) * np.eye(len(norms))

        def residual(log_z: np.ndarray) -> np.ndarray:  # z = w ‖g‖
            power = np.exp((log_z - (1 - alpha) * log_norms) / alpha)
            return mixed @ np.exp(log_z) * power - 1

        def jacobian(log_z: np.ndarray) -> np.ndarray:
            power = np.exp((log_z - (1 - alpha) * log_norms) / alpha)
            scaled = mixed * np.exp(log_z) * power[:, np.newaxis]
            return scaled + np.diag(scaled.sum(axis=1) / alpha)

        return optimize.root(residual, start, jac=jacobian, options={"xtol": 1e-14}).x

    log_z = (1 - alpha) / (1 + alpha) * log_norms
    for share in 1 - np.append(np.geomspace(1, 1e-5, 40)[1:], 0):
        log_z = solve(share, log_z)
    w = np.exp(log_z - log_norms)
    assert np.allclose(gramian @ w, w ** (-1 / alpha), rtol=1e-9), "the reference failed"
    return gradients.T @ w


def primary_task(gradients: np.ndarray, task: int) -> np.ndarray:
    primary = gradients[task]
    update = primary.copy()
    for index, gradient in enumerate(gradients):
        if index != task:
            overlap = min(0, gradient @ primary) / (primary @ primary)
            update += gradient - overlap * primary
    return update


def grad_vac(
    gradients: np.ndarray, targets: np.ndarray, beta: float, orders: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step on whole vectors: the update, and the targets [T, T] after it."""
    targets = targets.copy()
    total = np.zeros(gradients.shape[1])
    for i, order in enumerate(orders):
        running = gradients[i].copy()
        for j in order:
            if j == i:
                continue
            length, other = np.linalg.norm(running), np.linalg.norm(gradients[j])
            cosine, target = running @ gradients[j] / (length * other), targets[i, j]
            if cosine < target:
                sine, target_sine = np.sqrt(1 - cosine**2), np.sqrt(1 - target**2)
                factor = length * (target * sine - cosine * target_sine) / (other * target_sine)
                running += factor * gradients[j]
            targets[i, j] = (1 - beta) * target + beta * cosine
        total += running
    return total, targets


def _nearest_weights(points: np.ndarray) -> np.ndarray:
    """Weights, of sum one, of the point of the convex hull that is nearest to zero."""
    scale = np.linalg.norm(points, axis=1).min()
    if scale == 0:
        return np.eye(len(points))[np.linalg.norm(points, axis=1).argmin()]
    matrix = np.vstack([points.T / scale, np.ones(len(points))])
    weights = _nonnegative_least_squares(matrix, np.eye(len(matrix))[-1])
    return weights / weights.sum()


def _projected_on_dual_cone(vector: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The nearest vector without a negative inner product with any gradient."""
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    return vector + units.T @ _nonnegative_least_squares(units.T, -vector)


def _nonnegative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """By an active set: exact, also for dependent columns."""
    bounds = (0, np.inf)
    return optimize.lsq_linear(matrix, target, bounds, method="bvls", tol=1e-15, max_iter=2000).x
