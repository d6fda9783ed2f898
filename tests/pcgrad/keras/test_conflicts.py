"""What `fit` and `ConflictMonitor` report about conflicts."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from multitask_models import UNIT_ROWS, labels, linear_model
from pcgrad import PCGrad, equal_weights
from pcgrad.keras import ConflictMonitor
from pcgrad.keras.conflict_statistics import ConflictStatistics

# A task without labels is told by a warning, see test_unlabelled_tasks.py.
pytestmark = pytest.mark.filterwarnings("ignore:task '[bc]' had no label")

NAN = np.nan
ROOT = math.sqrt(0.5)
# Three batches of two rows, whose labels are the gradients (times two) of the tasks.
X = np.tile(UNIT_ROWS, (3, 1))
AGREEING = ([2, 0], [2, 2])  # cosine √½
CONFLICTING = ([2, 0], [-2, 2])  # cosine -√½
OPPOSITE = ([2, 0], [-2, 0])  # cosine -1
UNDEFINED = ([2, 0], [NAN, NAN])


def epoch_of(*batches) -> dict[str, np.ndarray]:
    return labels(
        a=[value for a, _ in batches for value in a], b=[value for _, b in batches for value in b]
    )


def following(model):
    """Without surgery conflicts are measured if somebody asks for them."""
    model.follows_conflicts = True
    return model


def fit(model, y, **arguments):
    return model.fit(X, y, batch_size=2, shuffle=False, verbose=0, **arguments)


@pytest.mark.parametrize("surgery", [None, PCGrad("sum")])
def test_the_metrics_of_fit_are_means_over_the_epochs_steps(surgery):
    model = following(linear_model(surgery=surgery))
    history = fit(model, epoch_of(AGREEING, CONFLICTING, OPPOSITE), epochs=2).history
    np.testing.assert_allclose(history["conflicting_pairs"], [2 / 3] * 2, rtol=1e-6)
    np.testing.assert_allclose(history["mean_cosine"], [-1 / 3] * 2, rtol=1e-6)
    (pair,) = model.conflicts()
    assert pair["tasks"] == ["a", "b"]
    assert pair["steps"] == 3
    np.testing.assert_allclose(pair["mean_cosine"], -1 / 3, rtol=1e-6)
    np.testing.assert_allclose(pair["conflicting"], 2 / 3, rtol=1e-6)


def test_each_pair_of_three_tasks():
    model = linear_model("cab", surgery=PCGrad())
    y = labels(c=[2, 0], a=[2, 2], b=[-2, 2])
    history = model.fit(UNIT_ROWS, y, verbose=0).history
    found = {tuple(p["tasks"]): (p["mean_cosine"], p["conflicting"]) for p in model.conflicts()}
    assert list(found) == [("c", "a"), ("c", "b"), ("a", "b")]
    np.testing.assert_allclose(
        list(found.values()), [(ROOT, 0), (-ROOT, 1), (0, 0)], rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(history["conflicting_pairs"], [1 / 3], rtol=1e-6)
    np.testing.assert_allclose(history["mean_cosine"], [0], atol=1e-6)


def test_the_gradients_are_those_before_the_surgery_and_after_the_loss_weights():
    """A negative weight turns a task round."""
    model = linear_model(surgery=PCGrad("sum"), loss_weights={"a": 1.0, "b": -1.0})
    fit(model, epoch_of(OPPOSITE, OPPOSITE, AGREEING))
    (pair,) = model.conflicts()
    np.testing.assert_allclose(pair["conflicting"], 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("undefined", [UNDEFINED, ([2, 0], [0, 0]), ([2, 0], [np.inf, 0])])
def test_undefined_cosines_do_not_count(undefined):
    """Of a task without labels, with a zero gradient, with a non-finite one."""
    model = following(linear_model(optimizer="sgd"))
    model.optimizer.learning_rate = 0.0
    history = fit(model, epoch_of(undefined, AGREEING, AGREEING)).history
    (pair,) = model.conflicts()
    assert pair["steps"] == 2
    np.testing.assert_allclose(pair["mean_cosine"], ROOT, rtol=1e-6)
    np.testing.assert_allclose(history["mean_cosine"], [ROOT], rtol=1e-6)
    assert history["conflicting_pairs"] == [0.0]


def test_no_defined_cosine_at_all_is_nan_not_zero():
    model = following(linear_model())
    history = fit(model, epoch_of(*[UNDEFINED] * 3)).history
    assert math.isnan(history["mean_cosine"][0])
    assert math.isnan(history["conflicting_pairs"][0])
    (pair,) = model.conflicts()
    assert pair["steps"] == 0
    assert math.isnan(pair["mean_cosine"])
    assert math.isnan(pair["conflicting"])


def test_evaluation_does_not_clear_the_epochs_conflicts():
    """Neither validation within `fit` nor `evaluate` and `test_on_batch` after it."""
    model = linear_model(surgery=PCGrad("sum"))
    y = epoch_of(CONFLICTING, CONFLICTING, AGREEING)
    other = epoch_of(AGREEING, AGREEING, AGREEING)
    history = fit(model, y, epochs=2, validation_data=(X, other), validation_batch_size=2).history
    expected = model.conflicts()
    assert expected[0]["steps"] == 3
    np.testing.assert_allclose(expected[0]["conflicting"], 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(history["conflicting_pairs"], [2 / 3] * 2, rtol=1e-6)
    assert {name for name in history if "val_" in name} == {"val_loss", "val_a_loss", "val_b_loss"}
    logs = model.evaluate(X, other, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "a_loss", "b_loss"}
    model.test_on_batch(X, other)
    model.predict(X, verbose=0)
    assert model.conflicts() == expected


def test_gradient_norms_are_means_over_the_steps_that_have_a_gradient():
    model = following(linear_model(optimizer="sgd", loss_weights={"a": 3.0, "b": 1.0}))
    y = epoch_of(([2, 0], [6, 8]), ([4, 0], [NAN, NAN]), ([2, 0], [0, 2]))
    history = fit(model, y).history
    assert model.gradient_norms() == pytest.approx({"a": 3 * 4 / 3, "b": 3})
    assert history["a_gradient_norm"] == pytest.approx([4])
    assert history["b_gradient_norm"] == pytest.approx([3])


@pytest.mark.parametrize("surgery", [None, equal_weights])
@pytest.mark.parametrize("mode", [{"run_eagerly": True}, {"jit_compile": False}])
def test_what_needs_no_gram_matrix_is_measured_while_a_monitor_asks(surgery, mode, tmp_path):
    """The keys are absent otherwise, not zero, not NaN; the weights are the same."""
    y = epoch_of(AGREEING, CONFLICTING, OPPOSITE)
    model, plain = (linear_model(surgery=surgery, **mode) for _ in range(2))
    assert set(fit(model, y).history) == {"loss", "a_loss", "b_loss"}
    assert model.conflicts() == model.conflicts(whole_run=True) == []
    assert model.gradient_norms() == {}
    assert "one backward pass" in model.describe_gramian()

    history = fit(model, y, callbacks=[ConflictMonitor(tmp_path)]).history
    np.testing.assert_allclose(history["mean_cosine"], [-1 / 3], rtol=1e-6)
    measured = model.conflicts()
    assert measured[0]["steps"] == model.conflicts(whole_run=True)[0]["steps"] == 3
    assert "one backward pass" not in model.describe_gramian()

    assert set(fit(model, y).history) == {"loss", "a_loss", "b_loss"}
    assert model.conflicts() == measured
    fit(plain, y, epochs=3)
    np.testing.assert_allclose(model.weights[0], plain.weights[0], rtol=1e-6)


def test_a_surgery_is_followed_also_after_a_monitor(tmp_path):
    model = linear_model(surgery=PCGrad("sum"))
    y = epoch_of(AGREEING, CONFLICTING, OPPOSITE)
    fit(model, y, callbacks=[ConflictMonitor(tmp_path)])
    model.follows_conflicts = False
    assert model.follows_conflicts
    np.testing.assert_allclose(fit(model, y).history["mean_cosine"], [-1 / 3], rtol=1e-6)


@pytest.mark.parametrize("steps", [19, 20, 39, 40, 41, 100, 1000])
def test_standard_errors_come_from_the_means_of_20_blocks_at_least(steps):
    rng = np.random.default_rng(steps)
    statistics = ConflictStatistics(["a", "b"])
    update = tf.function(statistics.update_state)
    cosine = np.clip(rng.normal(0.1, 0.3, size=steps), -1, 1)
    for value in cosine:
        update(tf.constant([[4.0, 2 * value], [2 * value, 1.0]], tf.float64))
        if value > 0.5:
            statistics.reset_state()  # an epoch ends
    (pair,) = statistics.run_pairs()
    assert pair["steps"] == steps
    assert pair["mean_cosine"] == pytest.approx(cosine.mean(), abs=1e-6)
    assert pair["conflicting"] == pytest.approx((cosine < 0).mean())
    length = 1
    while steps // length >= 40:
        length *= 2
    assert pair["blocks"] == steps // length
    errors = [
        pair[f"{key}_standard_error_of_block_means"] for key in ("mean_cosine", "conflicting")
    ]
    if steps < 20:
        assert all(map(math.isnan, errors))
        return
    blocks = cosine[: pair["blocks"] * length].reshape(-1, length)
    for error, values in zip(errors, (blocks, blocks < 0), strict=True):
        means = values.mean(axis=1)
        assert error == pytest.approx(means.std(ddof=1) / len(means) ** 0.5, rel=1e-4)


def test_steps_that_are_not_finite_are_those_up_to_the_last_one():
    statistics = ConflictStatistics(["a", "b"])
    found = []
    for norms in ([np.inf, 1.0], [np.nan, np.inf], [1.0, np.inf]):
        statistics.update_state(tf.linalg.diag(tf.constant(norms, tf.float64)))
        found.append(statistics.nonfinite_steps())
    assert found == [{"a": 1, "b": 0}, {"a": 2, "b": 1}, {"a": 0, "b": 2}]


def test_what_is_saved_of_the_statistics_is_enough_to_go_on():
    cosine = np.random.default_rng(0).normal(size=130)
    uninterrupted, first, resumed = (ConflictStatistics(["a", "b"]) for _ in range(3))

    def update(statistics, values):
        for value in values:
            statistics.update_state(tf.constant([[4.0, 2 * value], [2 * value, 1.0]], tf.float64))

    update(uninterrupted, cosine)
    update(first, cosine[:90])  # Blocks have been joined by then.
    for variable, value in zip(resumed.state, first.state, strict=True):
        variable.assign(value)
    update(resumed, cosine[90:])
    assert resumed.run_pairs() == uninterrupted.run_pairs()
    assert resumed.pairs() == uninterrupted.pairs()


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def lines_of(folder) -> list[dict]:
    text = (folder / "conflicts.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_monitor_writes_json_lines(tmp_path):
    folder = tmp_path / "made" / "by_it"
    model = linear_model(surgery=PCGrad("sum"))
    y = epoch_of(AGREEING, CONFLICTING, OPPOSITE)
    fit(model, y, epochs=2, validation_data=(X, y), callbacks=[ConflictMonitor(str(folder))])
    lines = lines_of(folder)
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        for kind, steps in (("pairs", 3), ("run_pairs", 3 * (line["epoch"] + 1))):
            (pair,) = line[kind]
            assert pair["tasks"] == ["a", "b"]
            assert pair["steps"] == steps
            np.testing.assert_allclose(pair["mean_cosine"], -1 / 3, rtol=1e-6)
            np.testing.assert_allclose(pair["conflicting"], 2 / 3, rtol=1e-6)


def test_monitor_writes_null_for_what_is_undefined(tmp_path):
    model = linear_model("abc")
    y = labels(a=[2, 0], b=[NAN, NAN], c=[2, 2])
    model.fit(UNIT_ROWS, y, verbose=0, callbacks=[ConflictMonitor(tmp_path)])
    (line,) = lines_of(tmp_path)
    found = {tuple(p["tasks"]): (p["mean_cosine"], p["conflicting"]) for p in line["pairs"]}
    assert found["a", "b"] == found["b", "c"] == (None, None)
    np.testing.assert_allclose(found["a", "c"], (ROOT, 0), rtol=1e-6)


def test_monitor_continues_the_file_of_an_earlier_fit(tmp_path):
    model = linear_model()
    y = epoch_of(AGREEING, AGREEING, AGREEING)
    fit(model, y, callbacks=[ConflictMonitor(tmp_path)])
    fit(model, y, initial_epoch=1, epochs=2, callbacks=[ConflictMonitor(tmp_path)])
    assert [line["epoch"] for line in lines_of(tmp_path)] == [0, 1]


def test_monitor_writes_tensorboard_scalars(tmp_path):
    model = linear_model("abc", surgery=PCGrad("sum"))
    y = labels(a=[2, 0], b=[-2, 2], c=[NAN, NAN])
    model.fit(UNIT_ROWS, y, epochs=2, verbose=0, callbacks=[ConflictMonitor(tmp_path)])
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = set(events.Tags()["tensors"])
    assert {"cosine/a/b", "conflicting/a/b"} <= tags
    scalars = {
        tag: [
            (event.step, float(tf.make_ndarray(event.tensor_proto)))
            for event in events.Tensors(tag)
        ]
        for tag in tags
    }
    np.testing.assert_allclose(scalars["cosine/a/b"], [(0, -ROOT), (1, -ROOT)], rtol=1e-6)
    np.testing.assert_allclose(scalars["conflicting/a/b"], [(0, 1), (1, 1)])
    np.testing.assert_allclose(scalars["gradient_norm/b"], [(0, 2**0.5), (1, 2**0.5)], rtol=1e-6)
    undefined = [value for tag in tags if "c" in tag.split("/")[1:] for _, value in scalars[tag]]
    assert undefined
    assert all(math.isnan(value) for value in undefined)


def test_monitor_of_a_single_task_has_no_pairs(tmp_path):
    model = linear_model("a", surgery=PCGrad())
    model.fit(UNIT_ROWS, labels(a=[1, 2]), verbose=0, callbacks=[ConflictMonitor(tmp_path)])
    (line,) = lines_of(tmp_path)
    assert line == {"epoch": 0, "pairs": [], "gradient_norms": {}, "run_pairs": [], "probes": None}
