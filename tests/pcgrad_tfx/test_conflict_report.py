"""ConflictReport: from what the Trainer and a comparison left to a page and its numbers."""

import gc
import html.parser
import json
import re
from pathlib import Path
from unittest import mock

import pytest
import tensorflow as tf
from scipy import stats
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from dag_runs import run
from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.comparison.results import write_comparison
from pcgrad_tfx.conflict_report import ConflictReport, ConflictReportPage, read_verdict
from pcgrad_tfx.conflict_report.executor import Executor
from pcgrad_tfx.conflict_report.page import render
from pcgrad_tfx.conflict_report.report import make_report
from pcgrad_tfx.conflict_report.telemetry import read_telemetry
from pcgrad_tfx.conflict_report.wording import chart_labels
from report_data import STEPS, comparison, settings, write_model_run
from transformed import artifact, trainer_config

THREE = ("big_tip", "fare", "duration")
COSINES = (-0.007, -0.41, 0.32)


@pytest.fixture(autouse=True)
def _no_garbage_collection(monkeypatch):
    """statsmodels collects garbage in every test, which takes half a second beside TensorFlow."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


def report(folder, compared=None, data=None, name="taxi"):
    return make_report(name, data or {}, read_telemetry(str(folder)), compared)


def page(*arguments, **others):
    return render(report(*arguments, **others))


def text_of(markup):
    """What a reader sees, without style and charts."""
    markup = re.sub(r"<(style|svg)\b.*?</\1>", " ", markup, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


@pytest.fixture
def three(tmp_path):
    return write_model_run(tmp_path / "model_run", THREE, COSINES, settings=settings(THREE))


# The component.


@pytest.fixture(scope="module")
def training(tmp_path_factory, transformed_data):
    """A run of the real Trainer, 24 steps."""
    folder = tmp_path_factory.mktemp("training")
    with mock.patch.object(
        tf.saved_model, "save", lambda _, path, **__: tf.io.gfile.makedirs(path)
    ):
        return transformed_data.train(folder, trainer_config(epochs=4))


@pytest.fixture(scope="module")
def made(tmp_path_factory, training):
    """The folder that a pipeline with the component left."""
    folder = tmp_path_factory.mktemp("pipeline")
    model_run = imported(standard_artifacts.ModelRun, training.log_dir)
    node = ConflictReport(model_run.outputs["result"], "taxi", {"Source": "trips.csv"})
    (page,) = run(folder, model_run, node)(ConflictReportPage.TYPE_NAME)
    return Path(page.uri)


def imported(kind, folder):
    node = tfx.dsl.Importer(source_uri=str(folder), artifact_type=kind)
    return node.with_id(f"Imported{kind.__name__}")


def test_the_page_of_a_training_says_what_was_trained_how(made, training):
    shown = text_of((made / "report.html").read_text())
    for told in (
        "taxi",
        "Source trips.csv",
        "train rows 90",
        "learning rate 0.01",
        "surgery pcgrad",
    ):
        assert told in shown, told
    for task in ("big_tip", "price", "payment"):
        assert f"Loss of {task}" in shown
    assert f"tensorflow {tf.__version__}" in shown
    assert "Of 3 pairs of tasks" in shown


def test_the_numbers_are_those_of_the_training(made, training):
    numbers = json.loads((made / "report.json").read_text())
    pairs = training.conflicts[-1]["run_pairs"]
    assert numbers["tasks"] == ["big_tip", "price", "payment"]
    assert [pair["tasks"] for pair in numbers["pairs"]] == [pair["tasks"] for pair in pairs]
    for found, pair in zip(numbers["pairs"], pairs, strict=True):
        assert found["cosine"]["mean"] == pair["mean_cosine"]
        assert found["conflicting"]["mean"] == pair["conflicting"]
        error = pair["mean_cosine_standard_error_of_block_means"]
        half = stats.t.ppf(0.975, pair["blocks"] - 1) * error
        assert found["cosine"]["low"] == pytest.approx(max(-1, pair["mean_cosine"] - half))
        assert found["cosine"]["high"] == pytest.approx(min(1, pair["mean_cosine"] + half))


def test_the_verdict_for_the_console(made):
    conflict, surgery = read_verdict(str(made))
    shown = text_of((made / "report.html").read_text())
    assert conflict in shown
    assert surgery.replace("`", "") in shown
    assert conflict.startswith("Of 3 pairs of tasks ")
    assert (
        "no comparison was run; `python pipelines/local_runner.py --compare` runs one." in surgery
    )


def test_with_a_comparison(tmp_path, three):
    compared = comparison(THREE, cosines=COSINES)
    (tmp_path / "comparison").mkdir()
    write_comparison(compared, str(tmp_path / "comparison"))
    model_run = imported(standard_artifacts.ModelRun, three)
    results = imported(ComparisonResults, tmp_path / "comparison")
    node = ConflictReport(model_run.outputs["result"], "taxi", comparison=results.outputs["result"])
    (made,) = run(tmp_path, model_run, results, node)(ConflictReportPage.TYPE_NAME)
    assert read_verdict(made.uri) == report(three, compared).verdict
    numbers = json.loads(Path(made.uri, "report.json").read_text())
    assert numbers["intervals_over"] == "5 seeds of PCGrad in the comparison"
    first = numbers["differences"][0]
    assert (first["method"], first["task"]) == ("PCGrad", "big_tip")
    assert first["low"] > 0.01


def test_without_telemetry_it_fails_in_one_line(tmp_path):
    inputs = {"model_run": [artifact(standard_artifacts.ModelRun, tmp_path)]}
    outputs = {"report": [artifact(ConflictReportPage, tmp_path / "report")]}
    component = ConflictReport(tfx.dsl.Channel(type=standard_artifacts.ModelRun), "taxi")
    with pytest.raises(
        ValueError, match=r"\A.*conflicts.jsonl: there is no epoch.*; train with .*\Z"
    ):
        Executor().Do(inputs, outputs, dict(component.exec_properties))


def test_an_edit_of_the_page_invalidates_the_cache(monkeypatch):
    def version():
        channel = tfx.dsl.Channel(type=standard_artifacts.ModelRun)
        return ConflictReport(channel, "taxi").exec_properties["code_version"]

    before = version()
    assert version() == before
    read_bytes = Path.read_bytes
    for edited in ("report.css", "report.html", "charts.py"):
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "read_bytes", lambda p, e=edited: read_bytes(p) + b" " * (p.name == e)
            )
            assert version() != before, edited


# What is read.


def test_of_a_repeated_epoch_the_last_line_counts(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, epochs=3, settings=settings(THREE))
    for name in ("conflicts.jsonl", "history.jsonl"):
        lines = (folder / name).read_text().splitlines()
        stale = json.dumps(json.loads(lines[1]) | {"logs": {}, "pairs": []})
        (folder / name).write_text("\n".join([lines[0], stale, *lines[1:]]) + "\n")
    telemetry = read_telemetry(str(folder))
    assert [epoch.epoch for epoch in telemetry.epochs] == [0, 1, 2]
    assert [line.epoch for line in telemetry.history] == [0, 1, 2]
    assert len(telemetry.epochs[1].pairs) == 3
    assert telemetry.history[1].logs


def test_steps_before_a_resumption_are_told(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, epochs=3)
    assert "resumed" not in page(folder)
    lines = [json.loads(line) for line in (folder / "conflicts.jsonl").read_text().splitlines()]
    for pair in lines[-1]["run_pairs"]:
        pair["steps"] = STEPS
    (folder / "conflicts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert f"do not count its first {2 * STEPS} steps" in text_of(page(folder))


def test_a_broken_file_is_told_in_one_line(three):
    with (three / "conflicts.jsonl").open("a") as file:
        file.write('{"epoch": 12}\n')
    with pytest.raises(
        ValueError, match=r"\A.*conflicts.jsonl, line 13: pairs: .*; train again.*\Z"
    ):
        read_telemetry(str(three))


def test_the_trainer_of_someone_else(tmp_path):
    """Without TrainingRecord there are no settings and no losses, but all about conflicts."""
    folder = write_model_run(tmp_path, THREE, COSINES)
    shown = text_of(page(folder))
    assert "Mean cosine of each pair" in shown
    assert "Loss of" not in shown


# Intervals over seeds.


def test_with_several_seeds_the_interval_is_over_them(three):
    compared = comparison(THREE, cosines=COSINES)
    found = report(three, compared)
    assert found.basis == "5 seeds of PCGrad in the comparison"
    by_seed = [run.pairs[1]["mean_cosine"] for run in compared.runs if run.pairs]
    assert found.findings[1].cosine.mean == pytest.approx(sum(by_seed) / 5)
    assert "over 5 seeds of PCGrad in the comparison" in text_of(render(found))


@pytest.mark.parametrize("seeds", [2, 3])
def test_two_seeds_are_too_few(three, seeds):
    found = report(three, comparison(THREE, cosines=COSINES, seeds=seeds))
    of_seeds = "3 seeds of PCGrad in the comparison"
    assert found.basis == (of_seeds if seeds == 3 else "blocks of steps of this training")


# What is shown.


def test_a_share_near_one_half_is_explained_where_it_is_shown(three):
    figure = re.search(r"<h3>Share of conflicting steps</h3>.*?</figure>", page(three), re.DOTALL)[
        0
    ]
    assert "near 50% with a mean cosine near 0 is no evidence of conflict" in text_of(figure)
    assert "unrelated gradients" in figure


def test_the_comparison(three):
    compared = comparison(THREE, gain=0.02)
    shown = text_of(page(three, compared))
    assert report(three, compared).verdict[1].startswith("PCGrad against equal weights: better on")
    for told in (
        "big_tip: AUC",
        "fare: R²",
        "Mean over all tasks",
        "Price of a step",
        "static weights",
    ):
        assert told in shown, told
    rows = re.findall(r"big_tip, AUC PCGrad (\S+) (\S+) to (\S+) (< )?(\S+) (\S+)", shown)
    assert float(rows[0][0]) == pytest.approx(0.02, abs=0.003)
    assert "no comparison was run" not in shown


def test_one_task_has_nothing_to_conflict_with(tmp_path):
    folder = write_model_run(tmp_path, ["price"], [], settings=settings(["price"]))
    shown = text_of(page(folder))
    assert "There is one task, so there is nothing that it could conflict with." in shown
    assert "Loss of price" in shown
    assert "Mean cosine" not in shown


def test_tasks_that_share_nothing(tmp_path):
    folder = write_model_run(tmp_path, ["a", "b"], [None], settings=settings(["a", "b"]))
    shown = text_of(page(folder))
    assert "they share no variables" in shown
    assert "Mean cosine of each pair" not in shown


def test_some_pairs_without_a_cosine(tmp_path):
    folder = write_model_run(tmp_path, THREE, (None, -0.4, 0.3))
    assert "for 1 it cannot be told" in text_of(page(folder))
    assert "undefined" in text_of(page(folder))


HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>' onload='alert(1)",
    "two\nlines\r\n\x1b[31m\x00",
    "$x_1^2$ \\frac{}{} {{ 7*7 }} {% raw %}",
    "]]></svg><style>*{display:none}</style>&amp;",
    "very long " * 60,
    "任务 🚕",
)


class Tags(html.parser.HTMLParser):
    def __init__(self, markup):
        super().__init__()
        self.found = []
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, tuple(name for name, _ in attributes)))


def test_names_are_text_whatever_they_contain(tmp_path):
    tame = [f"task {i}" for i in range(len(HOSTILE))]
    pages = []
    for i, names in enumerate((tame, list(HOSTILE))):
        cosines = [0.01 * i - 0.1 for i in range(len(names) * (len(names) - 1) // 2)]
        described = settings(names, seed=names[0])
        folder = write_model_run(tmp_path / str(i), names, cosines, settings=described)
        compared = comparison(names)
        pages.append(page(folder, compared, {name: name for name in names}, name=names[4]))
    kinds = [
        {found for found in Tags(markup).found if found[0] not in SVG_TEXT} for markup in pages
    ]
    assert kinds[0] == kinds[1]
    assert not re.search(r"<(script|img)|[\x00\x1b]", pages[1])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages[1]
    assert "{{ 7*7 }}" in pages[1]
    assert "$x_1^2$" in pages[1]
    assert "任务 🚕" in pages[1]


# Their number depends on where Matplotlib puts ticks.
SVG_TEXT = {"g", "use", "path", "text"}


def test_the_same_run_gives_the_same_page(three):
    compared = comparison(THREE)
    assert page(three, compared) == page(three, compared)


def test_the_page_needs_nothing_else(three):
    markup = page(three, comparison(THREE))
    names = {tag for tag, _ in Tags(markup).found}
    assert not names & {"script", "iframe", "object", "embed", "img", "image", "base", "form"}
    addresses = set(re.findall(r"https?://[^\"\s]+", markup))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert re.findall(r"<link[^>]*>", markup) == ['<link rel="icon" href="data:,">']
    assert "default-src 'none'" in markup


def test_ids_are_unique(three):
    ids = re.findall(r' id="([^"]*)"', page(three, comparison(THREE)))
    assert len(ids) == len(set(ids)) > 0


def test_labels_of_charts_are_short_and_distinct():
    names = ["a" * 30 + "x" + "b" * 30, "a" * 30 + "y" + "b" * 30, "short", "other\nname"]
    labels = chart_labels(names, 12)
    assert list(labels) == names
    assert len(set(labels.values())) == 4
    assert all(len(label) <= 12 for label in labels.values())
    assert (labels["short"], labels["other\nname"]) == ("short", "other name")
