"""The report's charts: which value is drawn where, and in which colour."""

import re

import pytest

from pcgrad_tfx.comparison.statistics import Finding
from pcgrad_tfx.conflict_report import charts, comparison_charts
from pcgrad_tfx.conflict_report.drawing import BETTER, QUIET, WORSE, style
from pcgrad_tfx.conflict_report.telemetry import Epoch, History, RunPair, read_telemetry
from pcgrad_tfx.conflict_report.verdicts import judge
from report_data import write_model_run
from report_pages import COSINES, THREE, report


def texts_of(chart):
    """The texts that are drawn, with their colours (black if none is given)."""
    found = re.findall(r'<text style="([^"]*)"[^>]*>([^<]*)</text>', chart)
    return {text: (re.findall(r"fill: (#\w+)", look) or ["#000000"])[0] for look, text in found}


@pytest.fixture(autouse=True)
def _style():
    with style():
        yield


def test_epochs_count_from_one(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, epochs=3)
    epochs = read_telemetry(str(folder)).epochs
    history = [History(epoch=epoch.epoch, logs={"a_loss": 1.0}) for epoch in epochs]
    for chart in (
        charts.cosine_over_training(epochs, report(folder).findings),
        charts.gradient_norms(epochs, THREE),
        charts.learning_curve(history, "a", small=False),
    ):
        drawn = set(texts_of(chart))
        assert {"1", "2", "3"} <= drawn
        assert "0" not in drawn


def test_the_curves_of_both_splits():
    history = [History(epoch=0, logs={"a_loss": 0.5, "val_a_loss": 0.7, "b_loss": 9.0})]
    chart = charts.learning_curve(history, "a", small=False)
    assert "in the last one: train 0.5, eval 0.7." in chart
    assert charts.learning_curve(history, "c", small=False) is None


def test_a_task_without_a_gradient_has_a_dash_for_its_norm():
    norms = {"a": 2.5, "b": None}
    epoch = Epoch(epoch=0, pairs=(), gradient_norms=norms, run_pairs=())
    chart = charts.gradient_norms([epoch], "ab")
    assert "Last epoch: a 2.5; b –." in chart


def test_cells_can_be_read_on_both_ends_of_the_colours():
    pairs = {("a", "b"): -0.45, ("a", "c"): 0.4, ("b", "c"): 0.1}
    means = [
        RunPair(
            tasks=tasks, steps=100, samples=20, mean_cosine=mean, cosine_error=0.001,
            conflicting=0.5, conflicting_error=0.01,
        )
        for tasks, mean in pairs.items()
    ]  # fmt: skip
    colors = texts_of(charts.heat_map("abc", judge(means)))
    assert (colors["−0.45"], colors["0.40"]) == ("#ffffff", "#ffffff")
    assert colors["0.10"] != "#ffffff"


@pytest.mark.parametrize(
    ("difference", "p_value", "color"),
    [(0.02, 0.01, BETTER), (-0.02, 0.01, WORSE), (0.02, 0.2, QUIET), (-0.02, 0.2, QUIET)],
)
def test_a_difference_beyond_noise_has_the_colour_of_its_sign(difference, p_value, color):
    low, high = difference - 0.01, difference + 0.01
    finding = Finding("PCGrad", "a", "auc", 5, difference, low, high, p_value, 0.01)
    chart = comparison_charts.differences("a", ["PCGrad"], [finding], "AUC")
    assert set(re.findall(r"stroke: (#\w+); stroke-opacity: 0.6", chart)) == {color}
