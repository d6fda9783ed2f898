"""ConflictReport: from what the Trainer and a comparison left to a page and its numbers."""

import json
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
from pcgrad_tfx.conflict_report.component import Executor
from pcgrad_tfx.conflict_report.page import render
from pcgrad_tfx.conflict_report.report import write_report
from pcgrad_tfx.conflict_report.telemetry import read_telemetry
from report_data import METHODS, STEPS, comparison, probes, settings, write_model_run
from report_pages import COSINES, THREE, page, report, text_of
from transformed import artifact
from trips import trainer_config

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
    assert "What PCGrad sees" in shown


def test_the_numbers_are_those_of_the_training(made, training):
    numbers = json.loads((made / "report.json").read_text())
    pairs = training.conflicts[-1]["run_pairs"]
    assert numbers["tasks"] == ["big_tip", "price", "payment"]
    assert [pair["tasks"] for pair in numbers["pairs"]] == [pair["tasks"] for pair in pairs]
    for found, pair in zip(numbers["pairs"], pairs, strict=True):
        assert found["steps"] == pair["steps"]
        assert found["conflicting"]["value"] == pair["conflicting"]
        error = pair["conflicting_standard_error_of_block_means"]
        half = stats.t.ppf(0.975, pair["blocks"] - 1) * error
        assert found["conflicting"]["low"] == pytest.approx(max(0, pair["conflicting"] - half))
        assert found["conflicting"]["high"] == pytest.approx(min(1, pair["conflicting"] + half))


def test_the_verdict_for_the_console(made):
    *conflict, surgery = read_verdict(str(made))
    shown = text_of((made / "report.html").read_text())
    assert conflict
    for sentence in (*conflict, surgery):
        assert sentence.replace("`", "") in shown
    assert "no comparison was run; `tfx-pcgrad run --compare` runs one." in surgery


def test_the_numbers_behind_the_verdict(tmp_path, three):
    write_report(report(three), str(tmp_path / "report"))
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert list(numbers) == [
        "verdict", "tasks", "intervals_over", "ledger", "pairs", "probes", "differences",
    ]  # fmt: skip
    given = probes(THREE, COSINES)
    first = numbers["ledger"][0]
    assert (first["task"], first["verdict"]) == ("big_tip", "cost")
    assert first["kept"] == given["tasks"]["big_tip"]["kept"] | {"samples": None}
    entries = {entry["other"]: entry["share"]["value"] for entry in first["entries"]}
    assert entries == pytest.approx({"fare": 0.4 * -0.007, "duration": 0.4 * -0.41})
    assert [pair["cosine"]["value"] for pair in numbers["pairs"]] == list(COSINES)
    assert [pair["verdict"] for pair in numbers["pairs"]] == ["no evidence", "opposed", "aligned"]
    assert numbers["probes"]["pairs"][0]["course"] == [
        point | {"cosine": point["cosine"] | {"samples": None}}
        for point in given["pairs"][0]["course"]
    ]
    assert numbers["intervals_over"] == "the probes of this training"


def test_the_numbers_of_a_training_without_probes(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, settings=settings(THREE), probed={})
    write_report(report(folder), str(tmp_path / "report"))
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (numbers["ledger"], numbers["probes"], numbers["intervals_over"]) == ([], None, None)
    assert [pair["cosine"]["value"] for pair in numbers["pairs"]] == [None] * 3
    shares = [pair["conflicting"]["value"] for pair in numbers["pairs"]]
    assert shares == pytest.approx([0.507, 0.91, 0.18])


def test_with_a_comparison(tmp_path, three):
    compared = comparison(THREE, cosines=COSINES)
    (tmp_path / "comparison").mkdir()
    write_comparison(compared, str(tmp_path / "comparison"))
    model_run = imported(standard_artifacts.ModelRun, three)
    results = imported(ComparisonResults, tmp_path / "comparison")
    node = ConflictReport(model_run.outputs["result"], "taxi", comparison=results.outputs["result"])
    (made,) = run(tmp_path, model_run, results, node)(ConflictReportPage.TYPE_NAME)
    assert read_verdict(made.uri) == report(three, compared).verdict
    assert read_verdict(made.uri)[0].startswith("Over 5 seeds of PCGrad, big_tip keeps")
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


def test_the_verdict_of_one_task_is_one_sentence(tmp_path):
    folder = write_model_run(tmp_path / "run", ["price"], [], settings=settings(["price"]))
    write_report(report(folder), str(tmp_path / "report"))
    (conflict,) = read_verdict(str(tmp_path / "report"))
    assert conflict == "There is one task, so there is nothing that it could conflict with."


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
    assert f"the first {2 * STEPS} steps are not counted" in text_of(page(folder))


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
    assert "Cosine of each pair" in shown
    assert "Loss of" not in shown


def test_a_training_whose_steps_were_not_followed(tmp_path):
    """Without surgery there is one backward pass: what is known is what the probes saw."""
    folder = write_model_run(tmp_path, THREE, COSINES, epochs=2, settings=settings(THREE))
    lines = [json.loads(line) for line in (folder / "conflicts.jsonl").read_text().splitlines()]
    unseen = {"pairs": [], "gradient_norms": {}, "run_pairs": []}
    (folder / "conflicts.jsonl").write_text("\n".join(json.dumps(li | unseen) for li in lines))
    found = report(folder)
    assert found.telemetry.tasks == THREE
    assert found.conflict[0].startswith("In this training, big_tip keeps 83% of its own progress")
    assert [pair.conflicting for pair in found.findings.pairs] == [None] * 3
    shown = text_of(render(found))
    assert "Share of conflicting steps" not in shown
    assert "Share of opposed chunks" in shown
    assert "Gradient norm of each task" not in shown


# Intervals over seeds.


def test_with_several_seeds_the_interval_is_over_them(three):
    compared = comparison(THREE, cosines=COSINES)
    found = report(three, compared)
    assert found.basis == "5 seeds of PCGrad in the comparison"
    assert found.findings.is_of_tasks
    by_seed = [
        run.probes["pairs"][1]["cosine"]["value"] for run in compared.runs if run.method == "PCGrad"
    ]
    assert found.findings.pairs[1].cosine.value == pytest.approx(sum(by_seed) / 5)
    assert found.findings.pairs[1].cosine.samples == 5
    assert "over 5 seeds of PCGrad in the comparison" in text_of(render(found))


@pytest.mark.parametrize(
    ("surgery", "probed", "method"),
    [
        ("ppcgrad", METHODS[:3], "PPCGrad"),
        ("pcgrad", METHODS[:3], "PCGrad"),
        ("none", METHODS[:3], "equal weights"),
        ("pcgrad", METHODS[:1], "equal weights"),
    ],
)
def test_the_seeds_are_those_of_the_trainers_method(tmp_path, surgery, probed, method):
    """Or those of equal weights, where that method's trainings were not probed."""
    folder = write_model_run(tmp_path, THREE, COSINES, settings=settings(THREE, surgery=surgery))
    found = report(folder, comparison(THREE, cosines=COSINES, probed_methods=probed))
    assert found.basis == f"5 seeds of {method} in the comparison"


def test_probes_of_a_comparison_speak_for_a_training_without(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, settings=settings(THREE), probed={})
    found = report(folder, comparison(THREE, cosines=COSINES))
    assert found.conflict[0].startswith("Over 5 seeds of PCGrad, big_tip keeps")
    assert "Cosine over training" not in text_of(render(found))


@pytest.mark.parametrize("seeds", [2, 3])
def test_two_seeds_are_too_few(three, seeds):
    found = report(three, comparison(THREE, cosines=COSINES, seeds=seeds))
    of_seeds = "3 seeds of PCGrad in the comparison"
    assert found.basis == (of_seeds if seeds == 3 else "the probes of this training")
