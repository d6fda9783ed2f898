"""The benchmark that chooses the methods a comparison tries: its table."""

from benchmarks.data.known_truth import TASKS
from benchmarks.defaults.methods import FROM_GRAMIAN, FROM_LOSSES, report
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome, Run, write_comparison
from pcgrad_tfx.comparison.settings import DEFAULT_METHODS

CONFIG = f"""
name = "t"
[data]
path = "rows.csv"
{TASKS}
[features]
numeric = ["x"]
categorical = []
"""


def test_methods_are_in_the_order_of_their_mean_gain_over_equal_weights(tmp_path):
    """An AUC of .5 is as good as an R² of 0, and every table counts alike."""
    found = {
        "one": {EQUAL_WEIGHTS: (0.4, 0.8), "PCGrad": (0.5, 0.75), "MGDA": (0.4, 0.9)},
        "two": {EQUAL_WEIGHTS: (0.0, 0.5), "PCGrad": (0.1, 0.5), "MGDA": (-0.2, 0.5)},
    }
    for table, metrics in found.items():
        runs = [
            Run(method=method, seed=seed, eval={"amount": amount + noise, "event": event})
            for method, (amount, event) in metrics.items()
            for seed, noise in enumerate((-0.1, 0.1))
        ]
        outcome = ComparisonOutcome(
            metrics={}, methods=(), seeds=(0, 1), runs=runs, step_times=(), rows={}, settings={}
        )
        write_comparison(outcome, str(tmp_path / table))
        (tmp_path / table / "config.toml").write_text(CONFIG)
    assert report(tmp_path, ["one", "two", "three"]).splitlines() == [
        "| method | mean | 95% | one | two |",
        "|---|---|---|---|---|",
        "| PCGrad | +0.0250 | +nan to +nan | +0.0000 | +0.0500 |",
        "| MGDA | +0.0000 | +nan to +nan | +0.1000 | -0.1000 |",
    ]


def test_the_default_methods_are_among_those_tried():
    tried = {*FROM_LOSSES, *FROM_GRAMIAN}
    assert {method.surgery for method in DEFAULT_METHODS} <= tried
