"""The report's charts: which value is drawn where, and in which colour."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcgrad_tfx.comparison.statistics import Finding
from pcgrad_tfx.conflict_report import charts, comparison_charts, conflict_charts, wording
from pcgrad_tfx.conflict_report.drawing import BETTER, COLORS, QUIET, WORSE, style
from pcgrad_tfx.conflict_report.probes import Probes
from pcgrad_tfx.conflict_report.telemetry import Epoch, History, read_telemetry
from pcgrad_tfx.conflict_report.verdicts import judge
from report_data import METHODS, comparison, estimate, probes, write_model_run
from report_pages import COSINES, THREE


def texts_of(chart):
    """The texts that are drawn, with their colours (black if none is given)."""
    found = re.findall(r'<text style="([^"]*)"[^>]*>([^<]*)</text>', chart)
    return {text: (re.findall(r"fill: (#\w+)", look) or ["#000000"])[0] for look, text in found}


@pytest.fixture(autouse=True)
def _style():
    with style():
        yield


def pairs_of(tasks, cosines, **others):
    return judge(Probes.model_validate(probes(tasks, cosines, **others)), (), False).pairs


def tasks_of(tasks, cosines, **others):
    return judge(Probes.model_validate(probes(tasks, cosines, **others)), (), False).tasks


def test_epochs_count_from_one(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, epochs=3)
    epochs = read_telemetry(str(folder)).epochs
    history = [History(epoch=epoch.epoch, logs={"a_loss": 1.0}) for epoch in epochs]
    for chart in (
        charts.gradient_norms(epochs, THREE),
        charts.learning_curve(history, "a", small=False),
    ):
        drawn = set(texts_of(chart))
        assert {"1", "2", "3"} <= drawn
        assert "0" not in drawn


def dots_at(chart, color):
    """The places, along x, of the dots of a colour; ticks have thinner lines."""
    marks = re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="[\d.]+" style="([^"]*)"', chart)
    return [float(x) for x, look in marks if look == f"fill: {color}; stroke: {color}"]


def test_what_is_kept_has_the_colour_of_its_verdict():
    """a keeps less, b more; c is not beyond noise and d is noise."""
    cosines = (0.0, -0.6, 0.0, 0.6, 0.0, 0.0)  # ab ac ad bc bd cd
    chart = conflict_charts.ledger(tasks_of("abcd", cosines, noise="d"))
    (worse,), (better,) = dots_at(chart, WORSE), dots_at(chart, BETTER)
    (unclear,) = dots_at(chart, QUIET)
    assert worse < unclear < better
    assert unclear - worse == pytest.approx(better - unclear, rel=1e-3)
    assert texts_of(chart)["noise"] == QUIET
    assert "a 76% (c takes 24%); b 124% (c adds 24%); c 100% (" in chart


def bars_of(chart, color):
    """The left and right ends of the bars of a colour."""
    found = []
    for path, look in re.findall(r'<path d="([^"]*)"[^>]*style="([^"]*)"', chart):
        if f"fill: {color.lower()}" in look and "opacity: 0.45" in look:
            xs = [float(x) for x in re.findall(r"[ML] ([\d.]+)", path)]
            found.append((min(xs), max(xs)))
    return found


def test_each_entry_of_a_ledger_has_the_colour_of_its_task():
    """a is given 20% by b (orange) and loses 10% to c (green); b and c are unrelated."""
    chart = conflict_charts.ledger(tasks_of("abc", (0.5, -0.25, 0.0)))
    of_b = max(bars_of(chart, COLORS[1]), key=lambda ends: ends[1] - ends[0])
    of_c = max(bars_of(chart, COLORS[2]), key=lambda ends: ends[1] - ends[0])
    assert of_b[0] == pytest.approx(of_c[1], abs=0.01)  # 100%
    assert of_b[1] - of_b[0] == pytest.approx(2 * (of_c[1] - of_c[0]), rel=0.01)
    assert {"a", "b", "c", "100%"} <= set(texts_of(chart))


def test_of_many_tasks_the_one_that_keeps_least_is_on_top():
    tasks = [f"task_{i}" for i in range(8)]
    chart = conflict_charts.ledger(tasks_of(tasks, [0.3 if i < 7 else -0.2 for i in range(28)]))
    drawn = [text for text in texts_of(chart) if text.startswith("task_")]
    heights = dict(re.findall(r"translate\([\d.]+ ([\d.]+)\)[^>]*>(task_\d)<", chart)) or None
    assert drawn[-1] == "task_0", heights  # the only one that gains
    assert bars_of(chart, WORSE)
    assert bars_of(chart, BETTER)


def test_one_extreme_task_does_not_hide_the_others():
    summary = probes("ab", [-0.5])
    summary["tasks"]["a"]["kept"] = estimate(-50.0, 10.0)
    found = judge(Probes.model_validate(summary), (), False)
    # The axis begins at −100%; what is beyond it has its number.
    drawn = texts_of(conflict_charts.ledger(found.tasks))
    assert {"−60%", "0%", "120%", wording.share(found.tasks[0].kept)} <= set(drawn)


def test_the_course_has_steps_bands_and_an_end_where_nothing_is_known():
    summary = probes("ab", [-0.3])
    summary["pairs"][0]["course"][3]["cosine"] = estimate(None)
    found = Probes.model_validate(summary)
    chart = conflict_charts.course(found, judge(found, (), False).pairs)
    assert {"200", "400", "600"} <= set(texts_of(chart))
    assert "fill-opacity: 0.15" in chart
    assert "a and b −0.100, −0.16, −0.21, –, −0.33" in chart


def test_a_point_of_the_course_that_is_alone_has_its_interval():
    summary = probes("ab", [-0.3])
    course = summary["pairs"][0]["course"]
    for i, point in enumerate(course):
        point["cosine"] = estimate(None if i else -0.3, half=None if i else 0.1)
    found = Probes.model_validate(summary)
    chart = conflict_charts.course(found, judge(found, (), False).pairs)
    line = rf'<path d="M ([\d.]+) ([\d.]+) \nL \1 ([\d.]+) [^>]*stroke: {COLORS[0].lower()}'
    assert len(re.findall(line, chart)) == 1


def test_the_strongest_pairs_have_a_line():
    tasks = "abcdefgh"
    cosines = [i / 100 for i in range(28)]
    found = Probes.model_validate(probes(tasks, cosines))
    drawn = texts_of(conflict_charts.course(found, judge(found, (), False).pairs))
    assert {text for text in drawn if " – " in text} == {
        "d – h", "e – f", "e – g", "e – h", "f – g", "f – h", "g – h",
    } - {"d – h"}  # fmt: skip


def test_many_pairs_show_those_that_oppose_each_other_most_and_least_often():
    tasks = "abcdefgh"
    cosines = [i / 100 for i in range(28)]
    chart = conflict_charts.shares(pairs_of(tasks, cosines), tasks_of(tasks, cosines))
    drawn = [text for text in texts_of(chart) if " – " in text]
    assert len(drawn) == 12
    assert {"a – b", "g – h"} <= set(drawn)
    assert "a and b: 50%, each of them alone: 30% and 30%" in chart
    assert "only noise" in drawn or "only noise" in texts_of(chart)


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
    colors = texts_of(conflict_charts.heat_map("abc", pairs_of("abc", (-0.45, 0.4, 0.1))))
    assert (colors["−0.45"], colors["0.40"]) == ("#ffffff", "#ffffff")
    assert colors["0.10"] != "#ffffff"


def test_columns_of_many_tasks_do_not_run_into_each_other():
    tasks = [f"task_{i}" for i in range(40)]
    cosines = [-0.3] * 780
    texts = texts_of(conflict_charts.heat_map(tasks, pairs_of(tasks, cosines)))
    assert len([text for text in texts if text.startswith("task_")]) == 40
    assert {"1", "4", "40"} & set(texts) == {"1", "4", "40"}
    assert "2" not in texts


@pytest.mark.parametrize(
    ("difference", "p_value", "color"),
    [(0.02, 0.01, BETTER), (-0.02, 0.01, WORSE), (0.02, 0.2, QUIET), (-0.02, 0.2, QUIET)],
)
def test_a_difference_beyond_noise_has_the_colour_of_its_sign(difference, p_value, color):
    low, high = difference - 0.01, difference + 0.01
    finding = Finding("PCGrad", "a", "auc", 5, difference, low, high, p_value, 0.01)
    chart = comparison_charts.differences("a", ["PCGrad"], [finding], "AUC")
    assert set(re.findall(r"stroke: (#\w+); stroke-opacity: 0.6", chart)) == {color}


POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20)


@given(POINTS)
def test_the_frontier_is_what_no_other_point_is_better_than_on_both(points):
    found = comparison_charts.frontier(points)
    best = {
        (x, y)
        for x, y in points
        if not any((a >= x and b >= y) and (a, b) != (x, y) for a, b in points)
    }
    assert set(found) == best
    assert found == sorted(best)


def test_the_trade_off_of_two_tasks_is_a_plane():
    (figure,) = comparison_charts.trade_off(comparison(["price", "sold"], tuned=True))
    texts = texts_of(figure.chart)
    assert {"equal weights", "PCGrad", "static weights tried", "boosted trees"} <= set(texts)
    assert "price, AUC  →  better" in texts
    assert "sold, R²  →  better" in texts


def test_the_trade_off_of_several_tasks_is_a_line_for_each_method():
    compared = comparison(["price", "sold", "days"], gain=0.07)
    (figure,) = comparison_charts.trade_off(compared)
    assert {"price", "sold", "days", *METHODS} <= set(texts_of(figure.chart))
    # 0.07 of 0.74 is 9%.
    assert re.search(r"PCGrad \+9\.\d, \S+, \S+%", figure.chart)


@pytest.mark.parametrize("tasks", [["price"], [f"task_{i}" for i in range(13)]], ids=len)
def test_one_task_and_too_many_have_no_trade_off(tasks):
    assert list(comparison_charts.trade_off(comparison(tasks))) == []
