"""The report's sentences about conflict, and how far each of them goes."""

import re

import pytest

from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.probes import Probes
from pcgrad_tfx.conflict_report.verdicts import judge
from report_data import comparison, estimate, probes, settings, write_model_run
from report_pages import COSINES, THREE, report, text_of
from report_pages import page as page_of

TWO = ("fare", "duration")
FORTY = [f"task_{i}" for i in range(40)]


def sentences(summary, where="in this training"):
    findings = judge(Probes.model_validate(summary), (), over_seeds=False)
    return list(wording.conflict_sentences(findings, where))


def of_training(folder, tasks, cosines, compared=None, **others):
    described = settings(tasks, batch_size=64)
    probed = probes(tasks, cosines, **others)
    return report(
        write_model_run(folder, tasks, cosines, settings=described, probed=probed), compared
    )


def test_what_a_task_keeps_and_who_takes_the_rest():
    first, second = sentences(probes(TWO, [-0.45], half=0.08))
    assert first == (
        "In this training, fare keeps 82% of its own progress (74% to 90%): duration takes 18%. "
        "With surgery it keeps 91% (83% to 99%)."
    )
    assert second.startswith("In this training, duration keeps 82% of its own progress")


def test_what_a_task_gains():
    assert sentences(probes(TWO, [0.5]))[0] == (
        "In this training, fare makes 120% of its own progress (115% to 125%): duration adds 20%."
    )


def test_a_task_whose_loss_rises():
    summary = probes(TWO, [-0.5], surgery=False)
    summary["tasks"]["fare"]["kept"] = estimate(-0.2, 0.1)
    assert sentences(summary)[0] == (
        "In this training, the others take more than all of fare's own progress, −20% is left "
        "(−30% to −10%): duration takes 20%."
    )


def test_no_evidence_is_no_evidence_of_either():
    assert sentences(probes(TWO, [0.05]))[0] == (
        "In this training, there is no evidence that the others cost or help fare, which keeps "
        "102% of its own progress (97% to 107%)."
    )


def test_a_loss_and_a_gain_that_make_up_for_each_other_are_both_said():
    told = sentences(probes("abc", (0.5, -0.5, 0.0)))[0]
    assert told.startswith("In this training, there is no evidence that the others cost or help a,")
    assert told.endswith("(95% to 105%): b adds 20% and c takes 20%.")


def test_one_interval_of_many_is_explained():
    summary = probes("abc", (0.0, 0.0, 0.0))
    summary["tasks"]["a"]["kept"] = estimate(0.94, 0.05)
    assert "(89% to 99%; among 3 tasks one such interval is no evidence)" in sentences(summary)[0]


def test_noise_is_no_number():
    told = sentences(probes(TWO, [-0.5], noise=["duration"]))[1]
    assert told == "In this training, the gradient of duration is noise: nothing can be said of it."


def test_too_few_probes_are_no_number_either():
    told = sentences(probes(TWO, [-0.5], half=None))
    assert told[0] == ("In this training, fare was probed too rarely: nothing can be said of it.")


def test_forty_tasks_are_counted_and_the_extreme_ones_named():
    cosines = [((i * 37) % 100 - 50) / 300 for i in range(780)]
    told = sentences(probes(FORTY, cosines, noise=["task_3"]))
    counts = re.fullmatch(
        r"In this training, of 40 tasks (\d+) lose progress to the others, (\d+) gain from them, "
        r"(\d+) show no evidence of either and 1 have a gradient that is noise\.",
        told[0],
    )
    assert sum(map(int, counts.groups())) == 39
    kept = [int(re.search(r"(?:keeps|makes) (\d+)%", sentence)[1]) for sentence in told[1:]]
    assert len(kept) == 3
    assert kept[0] <= kept[1] < 100 < kept[2]


def test_names_stay_on_one_line():
    told = sentences(probes(("a\nb", "c\x1b[31m"), [-0.5]))[0]
    assert told.startswith("In this training, a b keeps")
    assert "c [31m takes" in told


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (0.7, -0.3, "they agree at first and oppose each other later"),
        (-0.3, 0.2, "they oppose each other at first and agree later"),
        (0.7, 0.2, "they agree less and less"),
        (0.2, 0.7, "they agree more and more"),
        (-0.2, -0.7, "they oppose each other more and more"),
        (-0.7, -0.2, "they oppose each other less and less"),
        (0.30, 0.31, "no change beyond noise"),
        (None, 0.3, "cannot be told"),
    ],
)
def test_the_trend_in_words(first, last, words):
    summary = probes(TWO, [0.1])
    pair = summary["pairs"][0]
    pair["thirds"] = [estimate(first), estimate(0.0), estimate(last)]
    pair["trend"] = estimate(None if first is None else last - first)
    (finding,) = judge(Probes.model_validate(summary), (), over_seeds=False).pairs
    assert wording.trend(finding) == words


def test_a_training_without_thirds_has_no_trend():
    summary = probes(TWO, [0.1])
    summary["pairs"][0] |= {"thirds": [], "trend": estimate(None)}
    (finding,) = judge(Probes.model_validate(summary), (), over_seeds=False).pairs
    assert wording.trend(finding) == "cannot be told"


# How far a sentence goes.


def about_conflict(report):
    return [sentence for sentence in report.conflict if sentence != wording.NOT_PROBED]


@pytest.mark.parametrize(
    ("tasks", "cosines", "others"),
    [
        (TWO, [-0.5], {}),
        (THREE, COSINES, {}),
        (THREE, COSINES, {"noise": ["fare"]}),
        (THREE, (-0.03, -0.15, -0.08), {"control": 0.6, "half": 0.001}),
        (FORTY[:20], [((i * 37) % 100 - 50) / 100 for i in range(190)], {}),
    ],
)
@pytest.mark.parametrize("seeds", [0, 2])
def test_nothing_of_one_training_is_said_of_the_tasks(tmp_path, tasks, cosines, others, seeds):
    """Neither without a comparison nor with one of too few seeds."""
    compared = comparison(tasks, cosines=cosines, seeds=seeds) if seeds else None
    found = of_training(tmp_path, tasks, cosines, compared, **others)
    assert about_conflict(found)
    assert all(told.startswith("In this training, ") for told in about_conflict(found))
    assert not found.findings.is_of_tasks
    shown = text_of(page_of(tmp_path, compared))
    assert "they are about this one training" in shown
    assert "they are about these tasks" not in shown


def test_seeds_speak_of_the_tasks(tmp_path):
    compared = comparison(TWO, cosines=[-0.5], seeds=3)
    found = of_training(tmp_path, TWO, [0.9], compared)
    assert [told.partition(" keeps ")[0] for told in found.conflict] == [
        "Over 3 seeds of PCGrad, fare",
        "Over 3 seeds of PCGrad, duration",
    ]
    assert "they are about these tasks in this network" in text_of(page_of(tmp_path, compared))


def test_noise_hides_nothing_that_this_training_does_not_lose(tmp_path):
    """Whatever the seeds lose."""
    compared = comparison(TWO, cosines=[-0.5])
    found = of_training(tmp_path, TWO, [0.2], compared)  # in 30% of the steps, as the control
    assert found.findings.tasks[0].verdict == "cost"
    assert "noise hides" not in " ".join(found.conflict)


def test_seeds_that_differ_in_their_sign_are_no_evidence(tmp_path):
    """Though the one training is sure."""
    compared = comparison(TWO, cosines=[0.0], spread=0.5)
    found = of_training(tmp_path, TWO, [-0.5], compared)
    assert all("there is no evidence" in told for told in found.conflict)


def test_what_noise_hides_from_pcgrad(tmp_path):
    told = of_training(tmp_path, TWO, [-0.15], control=0.56, half=0.02).conflict
    assert told[-1] == (
        "In this training, noise hides the conflict of fare and duration from PCGrad at this batch "
        "size: their gradients oppose each other in 65% of the steps of 64 rows, those of one and "
        "the same task in 56% of chunks; from batches of about 3,100 rows on it could act on it."
    )
    assert len(told) == 3
    told = of_training(tmp_path / "seen", TWO, [-0.15], control=0.3, half=0.02).conflict
    assert len(told) == 2


def test_without_probes_the_batches_give_a_share_and_no_verdict(tmp_path):
    folder = write_model_run(tmp_path, THREE, COSINES, settings=settings(THREE), probed={})
    lines = (folder / "conflicts.jsonl").read_text()
    assert '"probes": null' in lines
    old = lines.replace(', "probes": null', "")
    share = (
        "In this training, the gradients of two tasks oppose each other in 18% to 91% of the "
        "steps, by pair; about half would by noise alone, so no verdict follows from that."
    )
    for text in (lines, old):
        (folder / "conflicts.jsonl").write_text(text)
        assert report(folder).conflict == (wording.NOT_PROBED, share)
