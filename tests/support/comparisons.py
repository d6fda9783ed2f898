"""Comparisons made up of drawn metrics."""

import numpy as np

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome, Method, Run, StepTime

METHODS = (EQUAL_WEIGHTS, "PCGrad", "PPCGrad", "static weights")
METRICS = {"tip": "auc", "late": "auc", "fare": "r_squared"}


def drawn(seed, *, effects=None, noise=0.01, seeds=5, metrics=METRICS, methods=METHODS):
    """A comparison whose runs differ by normal noise, and by the effects of (method, task)."""
    rng = np.random.default_rng(seed)
    runs = []
    for method in methods:
        for number in range(seeds):
            values = {
                task: 0.7 + (effects or {}).get((method, task), 0.0) + noise * rng.normal()
                for task in metrics
            }
            runs.append(Run(method=method, seed=number, eval=values, test=values))
    return ComparisonOutcome(
        metrics=dict(metrics),
        methods=tuple(Method(name=name) for name in methods),
        seeds=tuple(range(seeds)),
        runs=tuple(runs),
        step_times=(StepTime(method="PCGrad", ratio=1.31, low=1.3, high=1.33),),
        rows={"train": 800, "eval": 100, "test": 100},
        settings={},
    )
