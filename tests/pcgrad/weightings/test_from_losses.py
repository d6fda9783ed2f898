"""Weights from losses, against the objectives that they are the gradients of."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import pcgrad
from pcgrad import (
    FAMO,
    DualBalancing,
    DynamicWeightAverage,
    GeometricMean,
    GradNorm,
    LogLosses,
    RandomWeights,
    SmoothTchebycheff,
    UncertaintyWeights,
)
from pcgrad.weightings.weighting import ConfiguredWeighting

LOSSES = np.random.default_rng(0).uniform(0.2, 3.0, size=(12, 3))


def weighed(weighting, losses, gramian=None, step=0):
    gramian = np.eye(len(losses)) if gramian is None else gramian
    return weighting(tf.constant(gramian), step, tf.constant(losses)).numpy()


def gradient(objective, values):
    variable = tf.Variable(values, dtype=tf.float64)
    with tf.GradientTape() as tape:
        loss = objective(variable)
    return tape.gradient(loss, variable)


class Learned:
    """Numbers that Keras's Adam learns."""

    def __init__(self, start, learning_rate):
        self.values = keras.Variable(start, dtype="float64", trainable=True)
        self._adam = keras.optimizers.Adam(learning_rate, epsilon=1e-12)

    def step(self, by):
        self._adam.apply([tf.constant(by, tf.float64)], [self.values])


OBJECTIVES = {
    GeometricMean(): lambda x: tf.reduce_prod(x) ** (1 / 3),
    LogLosses(): lambda x: tf.reduce_sum(tf.math.log(x)),
    SmoothTchebycheff(mu=0.3): lambda x: 0.3 * tf.reduce_logsumexp(x / 3 / 0.3),
    SmoothTchebycheff(mu=2, preference=[1, 2, 3], ideal=[0, 0.1, -1]): lambda x: (
        2 * tf.reduce_logsumexp(tf.constant([1.0, 2, 3], x.dtype) * (x - [0, 0.1, -1]) / 2)
    ),
}


@pytest.mark.parametrize("weighting", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("losses", LOSSES[:4])
def test_the_weights_are_the_objectives_gradient(weighting, losses):
    expected = gradient(OBJECTIVES[weighting], losses)
    np.testing.assert_allclose(weighed(weighting, losses), expected, rtol=1e-9)


def test_uncertainties_are_learned_by_the_papers_objective():
    weighting, log_variances = UncertaintyWeights(0.1), Learned(np.zeros(3), 0.1)
    for losses in LOSSES:
        now = log_variances.values.numpy()
        np.testing.assert_allclose(weighed(weighting, losses), np.exp(-now) / 2, rtol=1e-5)
        log_variances.step(
            gradient(
                lambda s, losses=losses: tf.reduce_sum(tf.exp(-s) * losses / 2 + s / 2),
                now,
            )
        )


def test_famo_learns_from_what_the_step_has_done():
    weighting, logits = FAMO(0.1, decay=0.01), Learned(np.zeros(3), 0.1)
    for before, after in zip(LOSSES, np.roll(LOSSES, 1), strict=True):
        now = logits.values.numpy()
        shares = tf.nn.softmax(now) / before
        expected = shares / tf.reduce_sum(shares)
        np.testing.assert_allclose(weighed(weighting, before), expected, rtol=1e-5)
        weighting.after_step([tf.constant(loss, tf.float32) for loss in after])
        fallen = np.log(before) - np.log(after)
        change = gradient(
            lambda x, fallen=fallen: tf.reduce_sum(tf.nn.softmax(x) * fallen),
            now,
        )
        logits.step(change + 0.01 * now)


@pytest.mark.parametrize("missing", [[], [2, 3, 7]], ids=["all labelled", "some missing"])
def test_gradnorm_learns_by_the_papers_objective(missing):
    """A task without a gradient in some steps keeps its weight in them, up to the scaling."""
    weighting, learned = GradNorm(alpha=0.7, learning_rate=0.05), Learned(np.ones(3), 0.05)
    rng = np.random.default_rng(1)
    for number, losses in enumerate(LOSSES):
        counted = np.array([True, True, number not in missing])
        vectors = rng.normal(size=(3, 5)) * [[1], [4], [0.3]] * counted[:, np.newaxis]
        now = learned.values.numpy()
        found = weighed(weighting, losses, vectors @ vectors.T)
        np.testing.assert_allclose(found, now, rtol=1e-5)
        norms, rates = np.linalg.norm(vectors, axis=1), losses / LOSSES[0]
        targets = (now * norms)[counted].mean() * (rates / rates[counted].mean()) ** 0.7
        learned.step(
            gradient(
                lambda w, norms=norms, targets=targets: tf.reduce_sum(tf.abs(w * norms - targets)),
                now,
            )
        )
        moved = np.where(counted, learned.values, now)
        learned.values.assign(moved / np.sum(moved) * 3)


def test_dual_balancing_makes_the_logarithms_gradients_equally_long():
    vectors = np.random.default_rng(2).normal(size=(3, 5)) * [[1], [4], [0.3]]
    logarithms = vectors / LOSSES[0][:, np.newaxis]
    weights = weighed(DualBalancing(), LOSSES[0], vectors @ vectors.T)
    longest = np.linalg.norm(logarithms, axis=1).max()
    units = logarithms / np.linalg.norm(logarithms, axis=1, keepdims=True)
    np.testing.assert_allclose(weights[:, np.newaxis] * vectors, longest * units)


def test_dynamic_weights_follow_the_last_two_periods():
    weighting, found = DynamicWeightAverage(temperature=0.5, period=3), []
    for losses in LOSSES:
        found.append(weighed(weighting, losses))
    means = LOSSES.reshape(4, 3, 3).mean(axis=1)
    for period, weights in enumerate(np.reshape(found, (4, 3, 3))):
        ratios = means[period - 1] / means[period - 2] if period > 1 else np.ones(3)
        expected = 3 * np.exp(ratios / 0.5) / np.exp(ratios / 0.5).sum()
        np.testing.assert_allclose(weights, [expected] * 3)


def test_a_period_without_a_tasks_label_leaves_its_ratio_at_one():
    weighting = DynamicWeightAverage(temperature=1, period=1)
    for losses in ([2.0, 1.0], [1.0, 0.0]):
        weighed(weighting, losses)
    weights = weighed(weighting, [1.0, 1.0])
    np.testing.assert_allclose(weights, 2 * np.exp([0.5, 1]) / np.exp([0.5, 1]).sum())


def test_random_weights_are_drawn_anew_and_are_fair():
    draws = np.array([weighed(RandomWeights(seed=3), LOSSES[0], step=step) for step in range(400)])
    np.testing.assert_allclose(draws.sum(axis=1), 1)
    np.testing.assert_allclose(draws.mean(axis=0), 1 / 3, atol=0.05)
    assert len({tuple(weights) for weights in draws}) == len(draws)
    # Of a logistic of normal numbers: the quotient's logarithm has the variance 2.
    assert np.var(np.log(draws[:, 0] / draws[:, 1])) == pytest.approx(2, rel=0.25)
    assert not np.array_equal(draws[0], weighed(RandomWeights(seed=4), LOSSES[0]))


@pytest.mark.parametrize("weighting", [GeometricMean(), LogLosses(), FAMO(), DualBalancing()])
def test_a_task_without_a_label_is_left_out(weighting):
    gramian = np.diag([1.0, 4.0, 0.0])
    weights = weighed(weighting, [0.5, 3.0, 0.0], gramian)
    without = weighed(type(weighting)(), [0.5, 3.0], gramian[:2, :2])
    np.testing.assert_allclose(weights, [*without, 0])


def learn_without_a_label(weighting):
    gramian = np.diag([1.0, 4.0, 0.0])
    for losses in ([0.5, 2.0, 1.0], [0.4, 2.5, 0.0]):
        weighed(weighting, losses, gramian)
        if isinstance(weighting, FAMO):
            weighting.after_step([tf.constant(loss) for loss in [0.4, 1.9, losses[2]]])


def test_a_task_without_a_label_does_not_learn():
    uncertainty, famo = UncertaintyWeights(0.1), FAMO(0.1)
    learn_without_a_label(famo)
    assert np.isfinite(famo.state["logits"]).all()
    for _ in range(2):
        weighed(uncertainty, [3.0, 0.1, 0.0])
    more, less, same = uncertainty.state["log_variances"].numpy()
    assert less < 0 < more
    assert same == 0
    # Adam would go on moving it, where there was a label before.
    weighed(uncertainty, [3.0, 0.0, 0.1])
    _, same, moved = uncertainty.state["log_variances"].numpy()
    assert same == less
    assert moved < 0


@pytest.mark.parametrize("is_zero", ["before", "after"])
def test_famo_learns_nothing_of_a_task_whose_loss_is_zero(is_zero):
    """Before the step or after it: its logarithm is unknown."""
    losses = {"before": [0.5, 2.0, 1.0], "after": [0.4, 1.9, 0.8]}
    losses[is_zero][2] = 0.0
    famo, without = FAMO(0.1, decay=0.0), FAMO(0.1, decay=0.0)
    weighed(famo, losses["before"])
    famo.after_step([tf.constant(loss) for loss in losses["after"]])
    # As if it had not changed.
    weighed(without, [*losses["before"][:2], 1.0])
    without.after_step([tf.constant(loss) for loss in [*losses["after"][:2], 1.0]])
    np.testing.assert_allclose(famo.state["logits"], without.state["logits"], rtol=1e-6)


STATEFUL = [UncertaintyWeights, DynamicWeightAverage, FAMO, GradNorm]


@pytest.mark.parametrize("method", STATEFUL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_leaves_no_trace(method, bad):
    weighting = method()
    weighed(weighting, LOSSES[0])
    before = {name: value.numpy() for name, value in weighting.state.items()}
    assert np.isnan(weighed(weighting, [bad, 1.0, 1.0])).all()
    for name, value in weighting.state.items():
        np.testing.assert_array_equal(value, before[name])


def test_a_step_after_which_a_loss_is_not_finite_teaches_nothing():
    famo = FAMO()
    weighed(famo, LOSSES[0])
    famo.after_step([tf.constant(loss) for loss in [np.nan, 1.0, 1.0]])
    np.testing.assert_array_equal(famo.state["logits"], np.zeros(3))


ALL = [made for made in vars(pcgrad).values() if inspect.isclass(made)]
ALL = [made for made in ALL if issubclass(made, ConfiguredWeighting)]
ALL = [made for made in ALL if not inspect.isabstract(made)]
OF_LOSSES = [made for made in ALL if made.needs_losses or not made.needs_gramian]
GRAMIAN = np.array([[2.0, -0.5, 0.1], [-0.5, 1.0, 0.3], [0.1, 0.3, 4.0]])


@pytest.mark.parametrize("method", OF_LOSSES)
def test_eager_graph_and_xla_agree(method):
    def run(jit_compile):
        weighting = method()
        if hasattr(weighting, "build"):
            weighting.build(3)
        call = weighting.__call__
        if jit_compile is not None:
            call = tf.function(call, jit_compile=jit_compile)
        gramian, step = tf.constant(GRAMIAN), tf.constant(1, tf.int64)
        return [call(gramian, step, tf.constant(losses)).numpy() for losses in LOSSES[:4]]

    np.testing.assert_allclose(run(False), run(None), rtol=1e-9)
    np.testing.assert_allclose(run(True), run(None), rtol=1e-7)


@pytest.mark.parametrize("method", [one for one in OF_LOSSES if one is not RandomWeights])
def test_tasks_in_another_order_have_their_weights(method):
    order = [2, 0, 1]
    one, other = method(), method()
    for losses in LOSSES[:4]:
        weights = weighed(one, losses, GRAMIAN)
        permuted = weighed(other, losses[order], GRAMIAN[order][:, order])
        np.testing.assert_allclose(permuted, weights[order])


@pytest.mark.parametrize("method", OF_LOSSES)
@pytest.mark.parametrize("tasks", [1, 2, 50])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
def test_weights_are_finite_and_positive(method, tasks, scale):
    rng = np.random.default_rng(tasks)
    vectors, weighting = rng.normal(size=(tasks, 5)) * scale, method()
    for _ in range(3):
        losses = rng.uniform(0.1, 5, size=tasks) * scale
        weights = weighed(weighting, losses, vectors @ vectors.T)
        assert weights.shape == (tasks,)
        assert np.isfinite(weights).all()
        assert (weights >= 0).all()


def test_the_losses_must_be_given():
    with pytest.raises(ValueError, match="FAMO weighs the tasks by their losses: pass `losses`"):
        FAMO()(tf.eye(2), 0)
    with pytest.raises(ValueError, match="draws anew in every step: pass `step`"):
        RandomWeights()(tf.eye(2))


def test_a_state_belongs_to_one_number_of_tasks():
    weighting = GradNorm()
    weighed(weighting, LOSSES[0])
    with pytest.raises(ValueError, match="GradNorm has weighed 3 tasks and is now given 2"):
        weighed(weighting, LOSSES[0][:2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UncertaintyWeights(0), "`learning_rate` must be a number greater than 0, not 0"),
        (lambda: DynamicWeightAverage(period=2.5), "`period` must be an integer"),
        (lambda: DynamicWeightAverage(period=0), "`period` must be a number greater than 0"),
        (lambda: SmoothTchebycheff(mu="x"), "`mu` must be a number greater than 0, not 'x'"),
        (lambda: SmoothTchebycheff(preference=[1, 0]), "`preference` must be"),
        (lambda: GradNorm(alpha=-1), "`alpha` must be 0 or greater, not -1"),
        (lambda: FAMO(decay=float("nan")), "`decay` must be 0 or greater"),
        (
            lambda: weighed(SmoothTchebycheff(preference=[1, 2]), LOSSES[0]),
            "`preference` has 2 entries for 3 tasks",
        ),
    ],
)
def test_a_wrong_argument_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
