"""ConflictReport's page: what it shows, and that names are only text in it."""

import html.parser
import json
import re

import pytest

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.conflict_report.comparison_section import comparison_section
from pcgrad_tfx.conflict_report.drawing import style
from pcgrad_tfx.conflict_report.wording import chart_labels
from report_data import METHODS, comparison, probes, settings, write_model_run
from report_pages import COSINES, THREE, page, report, text_of


def figure_of(markup, title):
    return re.search(rf"<h3>{title}</h3>.*?</figure>", markup, re.DOTALL)[0]


def test_each_number_stands_under_the_question_that_it_answers(three):
    shown = text_of(page(three))
    questions = [
        "Does sharing cost a task anything?",
        "Do the tasks' gradients pull apart, and when?",
        "What PCGrad sees",
        "Does surgery help?",
    ]
    sections = re.split("|".join(map(re.escape, questions)), shown)[1:]
    ledger, cosines, seen, _ = sections[-4:]
    assert "big_tip cost 83% 78% to 88% &lt; 0.001 92% duration takes 16%" in ledger
    assert "4% 3,100" in ledger
    row = "big_tip – duration opposed −0.41 −0.46 to −0.36 &lt; 0.001 −0.21, −0.41, −0.61"
    assert f"{row} they oppose each other more and more" in cosines
    assert "big_tip – duration 91% 600 91% 30%, 30%" in seen
    assert "mean cosine" not in shown.lower()
    assert "24 probes from step 0 to step 800, each of 2,048 rows in chunks of 128" in ledger


def test_the_control_stands_beside_what_pcgrad_sees(three):
    figure = figure_of(page(three), "Share of conflicting steps")
    assert "gradients of one and the same task on different rows" in text_of(figure)
    assert "only noise" in figure
    assert "big_tip and duration: 91%, each of them alone: 30% and 30%" in figure


def test_without_probes_the_page_shows_the_batches_share_alone(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, settings=settings(THREE), probed={})
    shown = text_of(page(folder))
    assert "This training measured no probes" in shown
    assert "Noise alone makes it about half" in shown
    assert "big_tip – duration 91% 600" in shown
    for absent in ("Cosine", "Does sharing cost", "opposed chunks", "conflict strongly"):
        assert absent not in shown


def test_the_comparison(three):
    compared = comparison(THREE, gain=0.02)
    shown = text_of(page(three, compared))
    assert report(three, compared).surgery.startswith(
        "PCGrad against equal weights (untuned): better on"
    )
    for told in (
        "big_tip: AUC",
        "fare: R²",
        "Price of a step",
        "static weights",
    ):
        assert told in shown, told
    rows = re.findall(r"big_tip, AUC PCGrad (\S+) (\S+) to (\S+) (< )?(\S+) (\S+)", shown)
    assert float(rows[0][0]) == pytest.approx(0.02, abs=0.003)
    assert "no comparison was run" not in shown
    assert "All tasks: Δm" in shown
    assert re.search(r"all, Δm PCGrad \+0\.0\d+", shown)


def test_the_table_of_metrics_is_about_the_test_split():
    compared = comparison(THREE)
    with style():
        section = comparison_section(compared)
    assert section.models == list(METHODS)
    for task, _, means in section.metrics:
        values = [
            [run.test[task] for run in compared.runs if run.method == method] for method in METHODS
        ]
        assert means == pytest.approx([sum(of_seeds) / 5 for of_seeds in values])


def test_the_norms_of_the_tasks_that_have_a_gradient_are_shown(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, epochs=1)
    line = json.loads((folder / "conflicts.jsonl").read_text())
    line["gradient_norms"]["fare"] = None
    (folder / "conflicts.jsonl").write_text(json.dumps(line))
    assert "Gradient norm of each task" in text_of(page(folder))


def test_one_task_has_nothing_to_conflict_with(tmp_path):
    folder = write_model_run(tmp_path, ["price"], [], settings=settings(["price"]))
    shown = text_of(page(folder))
    assert "There is one task, so there is nothing that it could conflict with." in shown
    assert re.findall(r"Loss of (\w+)", shown) == ["price"]
    assert "Cosine" not in shown
    assert "own progress" not in shown
    # So there is nothing to compare either.
    assert len(report(folder).verdict) == 1
    assert "compar" not in shown
    assert "Does surgery help?" not in shown
    compared = comparison(["price"])
    assert (
        report(folder, compared)
        .verdict[1]
        .startswith("PCGrad against equal weights (untuned): better")
    )
    assert "Does surgery help?" in text_of(page(folder, compared))


@pytest.mark.parametrize("restore_best", [True, False])
def test_the_epoch_whose_weights_were_kept(tmp_path, restore_best):
    tasks = ["price", "sold"]
    changes = settings(tasks, restore_best=restore_best)
    folder = write_model_run(tmp_path, tasks, [0.1], settings=changes)
    shown = page(folder)
    sentence = (
        "The model has the weights of epoch 5 of 12 (dotted), the best one on eval: the mean gain "
        "over a constant prediction is 0.500."
    )
    assert (sentence in text_of(shown)) == restore_best
    assert shown.count("the dotted line is the epoch that was kept, 5") == 2 * restore_best


@pytest.mark.parametrize("probed", [None, {}], ids=["probed", "not probed"])
def test_tasks_that_share_nothing(tmp_path, probed):
    described = settings(["a", "b"])
    folder = write_model_run(tmp_path, ["a", "b"], [None], settings=described, probed=probed)
    shown = text_of(page(folder))
    assert "they share no variables" in shown
    assert "Cosine of each pair" not in shown
    assert "measured no probes" not in shown


def test_some_pairs_without_a_cosine(tmp_path):
    folder = write_model_run(tmp_path, THREE, (None, -0.4, 0.3))
    assert "big_tip – fare noise – – –" in text_of(page(folder))


def test_noise_has_no_number(tmp_path):
    probed = probes(THREE, COSINES, noise=["fare"])
    folder = write_model_run(tmp_path, THREE, COSINES, settings=settings(THREE), probed=probed)
    markup = page(folder)
    assert "fare noise – – – – – –" in text_of(markup)
    assert ">noise</text>" in figure_of(markup, "What each task keeps of its own progress")


def test_forty_tasks(tmp_path):
    tasks = [f"task_{i}" for i in range(40)]
    cosines = [((i * 37) % 100 - 50) / 300 for i in range(780)]
    folder = write_model_run(tmp_path, tasks, cosines, epochs=2, settings=settings(tasks))
    markup = page(folder)
    shown = text_of(markup)
    assert len(report(folder).conflict) == 4
    assert "The 40 strongest of 780 pairs of tasks" in shown
    assert "The 12 most extreme pairs." in shown
    drawn = figure_of(markup, "What each task keeps of its own progress")
    assert [task for task in tasks if f">{task}</text>" not in drawn] == []
    assert re.search(r"takes \d+%, \d\d more", shown)  # of a ledger's 39 entries
    assert len(markup) < 3e6


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


def test_a_task_is_described_by_what_was_said_of_it(tmp_path):
    task = Task(
        name="bought",
        kind="binary",
        column="bought",
        only_where={"click": 1},
        class_weight={"1": 5},
        loss="focal",
    )
    described = settings(["bought"]) | {"tasks": [task.model_dump(mode="json")]}
    text = text_of(page(write_model_run(tmp_path, ["bought"], [], settings=described)))
    assert "binary; column bought; only where click (1); class weight 1 (5.0); loss focal" in text
    assert "label smoothing" not in text
