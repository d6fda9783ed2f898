"""From probes to verdicts: statistics by hand, families of tests, what noise hides."""

import math

import numpy as np
import pytest

from pcgrad_tfx.conflict_report.hidden_conflict import hidden_conflict
from pcgrad_tfx.conflict_report.probes import Estimate, Probes, over_seeds
from pcgrad_tfx.conflict_report.telemetry import RunPair
from pcgrad_tfx.conflict_report.verdicts import judge, strongest
from report_data import estimate, probes, run_pairs

TWO = ("fare", "tip")


def found(*arguments, over=False, steps=(), **others):
    """The findings of made-up probes."""
    summary = Probes.model_validate(probes(*arguments, **others))
    return judge(summary, [RunPair.model_validate(pair) for pair in steps], over_seeds=over)


def verdicts(findings):
    return [finding.verdict for finding in findings]


def with_kept(*values, half=0.05, names="abcdefghij"):
    """Probes of unrelated tasks, of which each keeps what is given."""
    tasks = names[: len(values)]
    summary = probes(tasks, [0.0] * math.comb(len(tasks), 2))
    for task, value in zip(tasks, values, strict=True):
        summary["tasks"][task]["kept"] = estimate(value, half)
    return Probes.model_validate(summary)


def of_tasks(*values, **others):
    return judge(with_kept(*values, **others), (), over_seeds=False).tasks


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [(0.949, "cost"), (0.951, "no evidence"), (1.049, "no evidence"), (1.051, "help")],
)
def test_an_interval_on_one_side_of_all_is_a_verdict(kept, verdict):
    """Half of the interval is 0.05: of two tasks only the first has anything to show."""
    first, _ = judge(with_kept(kept, 1.0, half=0.05), (), over_seeds=False).tasks
    alone = judge(with_kept(kept, None), (), over_seeds=False).tasks[0]
    assert alone.verdict == verdict
    # Between two tasks it takes more.
    assert first.verdict == "no evidence"


def test_many_tasks_need_stronger_evidence():
    """p = 0.0278 alone (2.2 standard errors); Holm multiplies the least of three by 3."""
    weak = 1 - 2.2 / 1.95996 * 0.05
    assert [task.verdict for task in of_tasks(weak, weak, weak)] == ["no evidence"] * 3
    assert of_tasks(weak, None, None)[0].p_value == pytest.approx(0.0278, abs=1e-4)
    first, second, third = of_tasks(weak, 0.5, weak)
    assert first.p_value == third.p_value == pytest.approx(2 * 0.0278, abs=2e-4)
    assert [task.verdict for task in (first, second, third)] == [
        "no evidence",
        "cost",
        "no evidence",
    ]


def test_a_task_that_is_noise_has_no_numbers_and_costs_the_others_nothing():
    findings = found("abc", (-0.5, 0.1, 0.1), noise="c")
    assert verdicts(findings.tasks) == ["cost", "cost", "noise"]
    assert findings.tasks[0].p_value == findings.tasks[1].p_value < 0.001
    noise = findings.tasks[2]
    assert (noise.kept.value, noise.p_value) == (None, None)
    assert all(entry.share.value is None for entry in noise.entries)
    assert verdicts(findings.pairs) == ["opposed", "noise", "noise"]


def test_without_an_interval_nothing_is_judged():
    findings = found(TWO, [-0.8], half=None)
    assert verdicts(findings.tasks) == ["no interval"] * 2
    assert verdicts(findings.pairs) == ["no interval"]


def test_an_interval_that_was_cut_off_is_judged_by_the_end_that_faces_zero():
    """A cosine of −0.98 with an interval from −1 to −0.9: 0.98 / 0.08 half widths from 0."""
    summary = probes(TWO, [-0.98])
    summary["pairs"][0]["cosine"] = {"value": -0.98, "low": -1.0, "high": -0.9}
    (pair,) = judge(Probes.model_validate(summary), (), over_seeds=False).pairs
    assert pair.p_value < 1e-50
    summary["pairs"][0]["cosine"] = {"value": -0.98, "low": -1.0, "high": 0.1}
    (pair,) = judge(Probes.model_validate(summary), (), over_seeds=False).pairs
    assert pair.verdict == "no evidence"


def test_the_entries_of_all_ledgers_are_one_family():
    """c gives a 12% and takes as much from b: each entry is judged among six."""
    findings = found("abc", (0.0, 0.3, -0.3), half=0.1)
    shares = {
        (task.task, entry.other): (round(entry.share.value, 2), entry.verdict)
        for task in findings.tasks
        for entry in task.entries
    }
    assert shares["a", "c"] == (0.12, "no evidence")  # p = 0.019, times 6
    findings = found("abc", (0.0, 0.3, -0.3), half=0.08)
    shares = {
        (task.task, entry.other): entry.verdict for task in findings.tasks for entry in task.entries
    }
    assert shares == {
        ("a", "b"): "no evidence",
        ("a", "c"): "help",
        ("b", "a"): "no evidence",
        ("b", "c"): "cost",
        ("c", "a"): "help",
        ("c", "b"): "cost",
    }


def test_the_training_s_own_steps_stand_beside_the_probes():
    steps = run_pairs(("tip", "fare"), [-0.2])
    (pair,) = found(TWO, [-0.4], steps=steps).pairs
    # Two-sided quantile of 29 degrees of freedom: 2.0452, from any table.
    assert pair.conflicting.value == pytest.approx(0.7)
    assert pair.conflicting.low == pytest.approx(0.7 - 2.0452 * 0.01, abs=1e-5)
    assert pair.conflicting.high == pytest.approx(0.7 + 2.0452 * 0.01, abs=1e-5)
    assert pair.steps == 600
    assert pair.cosine.value == -0.4
    (pair,) = found(TWO, [-0.4]).pairs
    assert (pair.conflicting, pair.steps) == (None, 0)


def test_batches_alone_give_no_verdict():
    """Whatever their mean cosine was."""
    steps = [RunPair.model_validate(pair) for pair in run_pairs(TWO, [-0.9])]
    findings = judge(None, steps, over_seeds=False)
    assert findings.tasks == ()
    assert verdicts(findings.pairs) == ["noise"]
    assert findings.pairs[0].cosine.value is None
    assert findings.pairs[0].conflicting.value == 1.0


@pytest.mark.parametrize(("share", "low", "high"), [(0.005, 0, 0.0255), (0.995, 0.9745, 1)])
def test_a_share_stays_within_what_is_possible(share, low, high):
    steps = run_pairs(TWO, [0.5 - share])
    (pair,) = found(TWO, [-0.4], steps=steps).pairs
    ends = (pair.conflicting.low, pair.conflicting.high)
    assert ends == pytest.approx((low, high), abs=1e-4)


# Over seeds.


def seeds(*cosines, **others):
    return over_seeds([Probes.model_validate(probes(TWO, [x], **others)) for x in cosines])


def test_over_seeds_the_noise_is_that_between_seeds():
    """The intervals of the single trainings do not count."""
    summary = seeds(-0.4, -0.5, -0.6, half=1e-6)
    kept = summary.tasks["fare"].kept
    # 0.4 of the cosine is taken; the quantile of 2 degrees of freedom is 4.3027.
    half = 4.3027 * 0.04 / math.sqrt(3)
    assert kept.value == pytest.approx(0.8)
    assert kept.interval == pytest.approx((0.8 - half, 0.8 + half), abs=1e-5)
    assert kept.samples == 3
    assert summary.pairs[0].cosine.value == pytest.approx(-0.5)
    assert [third.value for third in summary.pairs[0].thirds] == pytest.approx([-0.3, -0.5, -0.7])
    assert summary.pairs[0].course == ()
    (fare, _) = judge(summary, (), over_seeds=True).tasks
    assert fare.p_value == pytest.approx(2 * 0.0131, abs=1e-4)  # t = 8.66, 2 degrees, two tasks
    assert fare.verdict == "cost"
    assert fare.kept_with_surgery.value == pytest.approx(0.9)


def test_seeds_of_both_signs_are_no_evidence_whatever_each_of_them_says():
    cosines = (-0.17, -0.21, -0.13, 0.04, -0.19, 0.18)
    for cosine in cosines:
        assert found(TWO, [cosine], half=0.01).pairs[0].verdict in ("opposed", "aligned")
    findings = judge(seeds(*cosines, half=0.01), (), over_seeds=True)
    assert verdicts(findings.tasks) == ["no evidence"] * 2
    assert verdicts(findings.pairs) == ["no evidence"]


def test_a_cosine_over_seeds_stays_within_what_is_possible():
    assert seeds(-0.99, -0.8, -0.99).pairs[0].cosine.low == -1.0


def test_one_seed_s_noise_scale_without_an_end_does_not_count_for_all():
    runs = [probes(TWO, [-0.5]) for _ in range(3)]
    runs[0]["tasks"]["fare"]["noise_scale"] = 1e9
    summary = over_seeds([Probes.model_validate(run) for run in runs])
    assert summary.tasks["fare"].noise_scale == 3140


def test_seeds_in_which_a_task_is_noise_do_not_count():
    def runs(noisy):
        summaries = [
            probes(TWO, [-0.5 + i / 100], noise=["tip"] if i < noisy else []) for i in range(5)
        ]
        return over_seeds([Probes.model_validate(summary) for summary in summaries])

    assert runs(2).tasks["tip"].kept.samples == 3
    assert runs(2).tasks["fare"].kept.samples == 5
    assert runs(3).tasks["tip"].kept.value is None
    findings = judge(runs(3), (), over_seeds=True)
    assert verdicts(findings.tasks) == ["cost", "noise"]


def test_seeds_that_all_agree_to_the_last_digit():
    findings = judge(seeds(-0.5, -0.5, -0.5), (), over_seeds=True)
    assert findings.tasks[0].verdict == "cost"
    assert judge(seeds(0.0, 0.0, 0.0), (), over_seeds=True).tasks[0].verdict == "no evidence"


def test_unrelated_tasks_are_rarely_said_to_cost_each_other_something():
    """Of three tasks without any loss or gain one is said to have some in 5% of comparisons."""
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):
        runs = [with_kept(*(1 + draw.normal(size=3))) for _ in range(5)]
        found = judge(over_seeds(runs), (), over_seeds=True).tasks
        wrong += any(task.verdict != "no evidence" for task in found)
    assert 0.03 < wrong / 1000 < 0.07


# What noise hides.


def hidden(cosine, *, control, batch_size=64, steps=True, **others):
    summary = probes(TWO, [cosine], control=control, **others)
    own = run_pairs(TWO, [cosine]) if steps else ()
    findings = judge(
        Probes.model_validate(summary),
        [RunPair.model_validate(pair) for pair in own],
        over_seeds=False,
    )
    return hidden_conflict(findings, batch_size)


def test_a_loss_that_batches_show_no_more_than_one_task_alone_is_hidden():
    told = hidden(-0.15, control=0.56, half=0.02)
    assert (told.task, told.other) == TWO
    assert (told.seen, told.by_noise) == (pytest.approx(0.65), 0.56)
    assert told.enough_rows == 3140
    assert told.is_of_steps
    assert hidden(-0.15, control=0.54, half=0.02) is None  # it is seen
    assert hidden(-0.15, control=0.56, half=0.2) is None  # there is no loss
    assert hidden(0.15, control=0.56, half=0.02) is None
    assert hidden(-0.15, control=0.76, half=0.02) is None  # not by chance, but the other way


def test_what_a_third_task_makes_up_for_is_not_hidden():
    """a loses to b and gains as much from c; b and c lose and gain, and hide nothing."""
    findings = found("abc", (-0.15, 0.15, 0.0), control=0.56, half=0.02)
    assert verdicts(findings.tasks) == ["no evidence", "cost", "help"]
    assert [entry.verdict for entry in findings.tasks[0].entries] == ["cost", "help"]
    assert hidden_conflict(findings, 64).task == "b"
    summary = probes("abc", (-0.15, 0.15, 0.0), control=0.56, half=0.02)
    summary["tasks"]["b"]["kept"] = estimate(1.0, 0.02)
    kept = judge(Probes.model_validate(summary), (), over_seeds=False)
    assert hidden_conflict(kept, 64) is None


def test_from_the_noise_scale_on_nothing_is_hidden_by_noise():
    assert hidden(-0.15, control=0.56, half=0.02, batch_size=3139)
    assert hidden(-0.15, control=0.56, half=0.02, batch_size=None)
    assert hidden(-0.15, control=0.56, half=0.02, batch_size=3140) is None


def test_without_surgery_the_probes_chunks_tell_what_is_hidden():
    told = hidden(-0.15, control=0.56, half=0.02, steps=False)
    assert not told.is_of_steps
    assert told.seen == pytest.approx(0.65)


def test_strongest():
    cosines = (0.3, -0.1, 0.01, -0.5, None, *[None] * 10)
    pairs = found("abcdef", cosines).pairs
    assert [pair.tasks[1] for pair in strongest(pairs, 3)] == ["e", "c", "b"]
    assert len(strongest(pairs, 10)) == 4


def test_an_estimate_has_an_interval_only_with_both_ends():
    assert Estimate(value=1.0, low=0.5).interval is None
    assert Estimate(value=1.0, low=0.5, high=1.5).interval == (0.5, 1.5)
