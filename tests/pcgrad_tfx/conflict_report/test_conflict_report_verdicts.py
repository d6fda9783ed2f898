"""From telemetry to a verdict: statistics by hand, and trainings whose truth is known."""

import gc
import math

import keras
import numpy as np
import pytest

from pcgrad import PCGrad
from pcgrad.keras import ConflictMonitor, MultiTaskModel
from pcgrad_tfx.conflict_report.telemetry import RunPair, read_telemetry
from pcgrad_tfx.conflict_report.verdicts import judge, over_seeds, strongest
from pcgrad_tfx.conflict_report.wording import conflict_sentence


def means(cosine, error, samples=20, tasks=("a", "b"), steps=1000, conflicting=0.5):
    return RunPair(
        tasks=tasks,
        steps=steps,
        mean_cosine=cosine,
        conflicting=conflicting,
        samples=samples,
        cosine_error=error,
        conflicting_error=None if error is None else 0.01,
    )


def judge_one(*arguments, **others):
    (finding,) = judge([means(*arguments, **others)])
    return finding


def test_interval_and_p_value_are_those_of_students_t():
    finding = judge_one(-0.05, 0.02, samples=20)
    # Two-sided quantile of 19 degrees of freedom: 2.0930, from any table.
    assert finding.cosine.low == pytest.approx(-0.05 - 2.0930 * 0.02, abs=1e-5)
    assert finding.cosine.high == pytest.approx(-0.05 + 2.0930 * 0.02, abs=1e-5)
    assert finding.conflicting.low == pytest.approx(0.5 - 2.0930 * 0.01, abs=1e-5)
    assert finding.p_value == pytest.approx(0.0217, abs=1e-4)
    assert (finding.verdict, finding.strength) == ("conflict", "weak")


def test_at_the_interval_s_end_it_is_just_not_significant():
    assert judge_one(-0.0419, 0.02).verdict == "conflict"
    assert judge_one(-0.0418, 0.02).verdict == "no evidence of conflict"
    assert judge_one(0.0418, 0.02).verdict == "no evidence of conflict"
    assert judge_one(0.0419, 0.02).verdict == "aligned"


def test_many_pairs_need_stronger_evidence():
    """p = 0.0217 alone; Holm multiplies the least of three by 3, the next by 2."""
    pairs = [means(-0.05, 0.02, tasks=("a", c)) for c in "bcd"]
    assert [finding.verdict for finding in judge(pairs)] == ["no evidence of conflict"] * 3
    pairs[1] = means(-0.5, 0.02, tasks=("a", "c"))
    first, second, third = judge(pairs)
    assert second.verdict == "conflict"
    assert first.p_value == third.p_value == pytest.approx(2 * 0.0217, abs=2e-4)
    assert first.verdict == "conflict"


def test_pairs_that_cannot_be_tested_cost_the_others_nothing():
    untested = [means(None, None), means(-0.3, None)]
    tested, undefined, short = judge([means(-0.05, 0.02), *untested])
    assert tested.p_value == judge_one(-0.05, 0.02).p_value
    assert (undefined.verdict, undefined.cosine, undefined.p_value) == ("undefined", None, None)
    assert (short.verdict, short.strength, short.p_value) == ("too short to tell", None, None)
    assert short.cosine.mean == -0.3
    assert short.cosine.low is None


@pytest.mark.parametrize(
    ("cosine", "strength"),
    [(0.099, "weak"), (0.1, "moderate"), (0.299, "moderate"), (0.3, "strong"), (1.0, "strong")],
)
def test_strength(cosine, strength):
    for sign, verdict in ((-1, "conflict"), (1, "aligned")):
        finding = judge_one(sign * cosine, 1e-4)
        assert (finding.verdict, finding.strength) == (verdict, strength)


def test_without_noise():
    """Tasks that share one variable have a cosine of 1 or -1 in every step."""
    assert judge_one(-1.0, 0.0).verdict == "conflict"
    assert judge_one(-1.0, 0.0).cosine.low == judge_one(-1.0, 0.0).cosine.high == -1.0
    assert judge_one(0.0, 0.0).verdict == "no evidence of conflict"


def test_an_interval_stays_within_what_is_possible():
    finding = judge_one(-0.99, 0.1)
    assert finding.cosine.low == -1.0
    assert finding.cosine.high == pytest.approx(-0.99 + 0.2093, abs=1e-4)
    for share, interval in ((0.005, (0.0, 0.0259)), (0.995, (0.9741, 1.0))):
        (finding,) = judge([means(0.1, 0.1, conflicting=share)])
        ends = (finding.conflicting.low, finding.conflicting.high)
        assert ends == pytest.approx(interval, abs=1e-4)


def run_pair(cosine, conflicting=0.5):
    return means(cosine, 1e-6, steps=100, conflicting=conflicting)


def test_over_seeds_the_noise_is_that_between_seeds():
    (pair,) = over_seeds([[run_pair(cosine)] for cosine in (-0.4, -0.5, -0.6)])
    assert pair.mean_cosine == pytest.approx(-0.5)
    assert pair.cosine_error == pytest.approx(0.1 / math.sqrt(3))
    assert (pair.samples, pair.steps) == (3, 300)
    assert judge([pair])[0].p_value == pytest.approx(0.0131, abs=1e-4)  # t = 8.66, 2 degrees


def test_seeds_without_a_cosine_do_not_count():
    runs = [[run_pair(cosine, None if cosine is None else 0.5)] for cosine in (-0.4, None, -0.6)]
    (pair,) = over_seeds(runs)
    assert (pair.samples, pair.mean_cosine) == (2, pytest.approx(-0.5))
    assert judge([pair])[0].verdict == "too short to tell"
    (pair,) = over_seeds([[run_pair(None, None)]] * 3)
    assert judge([pair])[0].verdict == "undefined"


def test_unrelated_pairs_are_rarely_called_conflicting(monkeypatch):
    """Of three pairs without conflict one is called so, or aligned, in about 5% of trainings."""
    # statsmodels collects garbage in every call, which takes half a second beside TensorFlow.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(2000):
        blocks = draw.normal(size=(3, 25))
        errors = blocks.std(axis=1, ddof=1) / 5
        pairs = zip(blocks.mean(axis=1), errors, strict=True)
        findings = judge([means(mean, error, samples=25) for mean, error in pairs])
        wrong += any(finding.strength for finding in findings)
    assert 0.03 < wrong / 2000 < 0.07


def test_strongest():
    pairs = [(0.3, "b"), (-0.1, "c"), (0.01, "d"), (-0.5, "e"), (None, "f")]
    findings = judge([means(cosine, cosine and 0.1, tasks=("a", t)) for cosine, t in pairs])
    assert [finding.tasks[1] for finding in strongest(findings, 3)] == ["e", "c", "b"]
    assert len(strongest(findings, 10)) == 4


# What the sentence says.


def sentence(*pairs):
    return conflict_sentence(judge(pairs))


def test_the_sentence_about_one_pair():
    assert sentence(means(-0.5, 0.01)) == (
        "a and b conflict strongly: mean cosine of the gradients −0.50, "
        "95% interval −0.52 to −0.48."
    )
    assert sentence(means(0.2, 0.01)).startswith("a and b are aligned moderately: ")
    assert sentence(means(-0.007, 0.01)) == (
        "There is no evidence that a and b conflict: mean cosine of the gradients −0.007, "
        "95% interval −0.028 to 0.014."
    )


def test_a_tiny_cosine_is_not_oversold():
    assert sentence(means(-0.02, 0.001)).startswith("a and b conflict only weakly: ")


def test_the_sentence_about_several_pairs():
    conflict = means(-0.5, 0.01, tasks=("a", "b"))
    unrelated = means(0.001, 0.01, tasks=("a", "c"))
    aligned = means(0.4, 0.01, tasks=("b", "c"))
    assert sentence(conflict, unrelated, aligned) == (
        "Of 3 pairs of tasks 1 conflicts, 1 is aligned and for 1 there is no evidence of conflict; "
        "a and b conflict most, strongly: mean cosine of the gradients −0.50, 95% interval −0.52 "
        "to −0.48."
    )
    assert sentence(unrelated, aligned, aligned).startswith(
        "Of 3 pairs of tasks 2 are aligned and for 1 there is no evidence of conflict; the lowest "
        "is that of a and c: "
    )
    assert sentence(unrelated, unrelated).startswith(
        "There is no evidence that any of 2 pairs of tasks conflicts; the lowest is that of a and c"
    )
    undefined = means(None, None, tasks=("a", "d"))
    assert "1 conflicts and for 2 it cannot be told; " in sentence(conflict, undefined, undefined)


def test_an_interval_below_zero_that_is_no_evidence_is_explained():
    told = sentence(*[means(-0.05, 0.02, tasks=("a", c)) for c in "bcd"])
    assert told == (
        "There is no evidence that any of 3 pairs of tasks conflicts; the lowest is that of a and "
        "b: mean cosine of the gradients −0.050, 95% interval −0.092 to −0.008; among 3 pairs one "
        "such interval is no evidence."
    )


def test_the_sentence_where_nothing_can_be_told():
    assert sentence() == "There is one task, so there is nothing that it could conflict with."
    assert "they share no variables" in sentence(means(None, None))
    short = means(-0.3, None, samples=12, steps=12)
    assert sentence(short).startswith(
        "Training was too short to tell whether the tasks conflict: 12"
    )


def test_names_stay_on_one_line():
    told = sentence(means(-0.5, 0.01, tasks=("a\nb", "c\x1b[31m")))
    assert told.startswith("a b and c [31m conflict")


# Trainings whose truth is known.


def train(folder, kind, seed, surgery=None, rows=8000):
    """Trains two tasks; returns the pairs of the whole run."""
    keras.utils.set_random_seed(seed)
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 8)).astype("float32")
    one, other = x[:, :4].sum(axis=1), x[:, 4:].sum(axis=1)
    second = {"conflict": -one, "aligned": one, "unrelated": other}[kind]
    y = {"a": one + draw.normal(size=rows), "b": second + draw.normal(size=rows)}
    inputs = keras.Input((8,))
    head = keras.layers.Dense(1, kernel_initializer="zeros")(inputs)
    outputs = {name: keras.layers.Identity(name=name)(head) for name in y}
    model = MultiTaskModel(inputs, outputs)
    # Slowly: while unrelated tasks are learned, they begin to compete for the head that they share.
    optimizer = keras.optimizers.SGD(1e-5 if kind == "unrelated" else 1e-3)
    model.compile(optimizer, loss=dict.fromkeys(y, "mse"), surgery=surgery)
    model.fit(x, y, batch_size=32, verbose=0, callbacks=[ConflictMonitor(folder)])
    return read_telemetry(str(folder)).run_pairs


@pytest.mark.parametrize("surgery", [None, PCGrad("sum")], ids=["none", "pcgrad"])
def test_tasks_that_conflict(tmp_path, surgery):
    (finding,) = judge(train(tmp_path, "conflict", 0, surgery))
    assert (finding.verdict, finding.strength) == ("conflict", "strong")
    assert finding.cosine.high < -0.5
    assert finding.conflicting.mean > 0.9


def test_tasks_that_are_aligned(tmp_path):
    (finding,) = judge(train(tmp_path, "aligned", 0))
    assert (finding.verdict, finding.strength) == ("aligned", "strong")
    assert finding.cosine.low > 0.5


def test_unrelated_tasks_conflict_in_about_half_of_the_steps(tmp_path):
    runs = [train(tmp_path / str(seed), "unrelated", seed) for seed in range(3)]
    for findings in [judge(run) for run in runs] + [judge(over_seeds(runs))]:
        assert findings[0].verdict == "no evidence of conflict"
        assert findings[0].cosine.low < 0 < findings[0].cosine.high
        assert 0.4 < findings[0].conflicting.mean < 0.6
        assert conflict_sentence(findings).startswith("There is no evidence that a and b conflict")


def test_less_than_twenty_steps_are_too_short(tmp_path):
    pairs = train(tmp_path, "conflict", 0, rows=19 * 32)
    findings = judge(pairs)
    assert findings[0].verdict == "too short to tell"
    assert findings[0].cosine.mean < -0.5
    assert "too short to tell whether the tasks conflict: 19 steps" in conflict_sentence(findings)
    enough = judge(train(tmp_path / "enough", "conflict", 0, rows=20 * 32))
    assert enough[0].verdict == "conflict"
