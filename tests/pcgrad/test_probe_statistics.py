"""The estimates of a probe: without bias, and with intervals that hold what they promise."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcgrad import summarize_probes
from pcgrad.probe_statistics import covariances, mean_of_pairs, probe_statistics

TASKS = ("a", "b", "c")


def products_of(gradients):
    """[K, T, K, T] of chunk gradients [K, T, n]."""
    return np.einsum("kin,ljn->kilj", gradients, gradients)


def noisy(rng, truth, chunks, shared=0.0):
    """Gradients of chunks: `truth` [T, n] and noise, part of which all tasks share."""
    common = rng.normal(size=(chunks, 1, truth.shape[1]))
    own = rng.normal(size=(chunks, *truth.shape))
    return truth + math.sqrt(shared) * common + math.sqrt(1 - shared) * own


def probe_of(gradients, weights=None, updates=None, step=0):
    weights = np.ones(gradients.shape[1]) if weights is None else np.array(weights)
    return probe_statistics(products_of(gradients), weights, updates, step, 32)


def at_angle(cosine, size, length, tasks=2):
    truth = np.zeros((tasks, size))
    truth[0, 0] = 1
    truth[1, :2] = cosine, math.sqrt(1 - cosine**2)
    for task in range(2, tasks):
        truth[task, task] = 1
    return truth * length


def by_hand(gradients, i, j):
    """The mean over all pairs of different chunks, in units of the lengths of what is not zero."""
    chunks = range(len(gradients))
    pairs = [gradients[k, i] @ gradients[m, j] for k, m in itertools.permutations(chunks, 2)]
    squares = np.sum(gradients**2, axis=2)
    lengths = [math.sqrt(squares[squares[:, t] > 0, t].mean()) for t in (i, j)]
    return np.mean(pairs) / (lengths[0] * lengths[1])


@given(st.integers(0, 2**32), st.integers(4, 9), st.integers(2, 3), st.floats(0, 0.4))
def test_the_products_are_those_of_different_chunks(seed, chunks, tasks, missing):
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(chunks, tasks, 5))
    gone = rng.random((chunks, tasks)) < missing
    gone[:2] = False
    gradients[gone] = 0
    found = probe_of(gradients)
    for i, j in itertools.product(range(tasks), repeat=2):
        assert found.products[i, j] == pytest.approx(by_hand(gradients, i, j), abs=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_chunk_without_a_finite_gradient_is_as_one_without_labels(value):
    gradients = np.random.default_rng(0).normal(size=(6, 2, 5))
    unlabelled, broken = gradients.copy(), gradients.copy()
    unlabelled[3, 1], broken[3, 1, 0] = 0, value
    one, other = probe_of(unlabelled), probe_of(broken)
    np.testing.assert_array_equal(one.products, other.products)
    np.testing.assert_array_equal(one.opposed, other.opposed)


def test_a_task_with_labels_in_one_chunk_gives_nothing():
    gradients = np.random.default_rng(0).normal(size=(6, 2, 5))
    gradients[1:, 1] = 0
    found = summarize_probes([probe_of(gradients)] * 3, TASKS[:2])
    assert found["tasks"]["b"]["is_noise"]
    assert found["tasks"]["b"]["kept"]["value"] is None
    assert found["pairs"][0]["cosine"]["value"] is None


def test_opposed_counts_chunks_between_tasks_and_pairs_of_chunks_within_one():
    gradients = np.array(
        [[[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], [[-1.0, 0.0], [1.0, 0.0]]] * 2
    )
    opposed = probe_of(gradients).opposed
    signs = gradients[..., 0]
    assert opposed[0, 1] == np.mean(signs[:, 0] * signs[:, 1] < 0)
    for task in range(2):
        pairs = itertools.combinations(signs[:, task], 2)
        assert opposed[task, task] == pytest.approx(
            np.mean([one * other < 0 for one, other in pairs])
        )


@pytest.mark.parametrize("shared", [0.0, 0.9])
@pytest.mark.parametrize(("length", "most"), [(0.0, 2.5), (0.7, 2.5), (6.0, 1.25)])
def test_the_covariances_are_those_of_repeated_probes(shared, length, most):
    """Never too small; up to twice as large where noise is nearly all there is."""
    rng = np.random.default_rng(1)
    truth = at_angle(-0.4, 40, length)
    gradients = (noisy(rng, truth, 12, shared) for _ in range(1000))
    # Without the lengths of each probe: they go along with its products, which cancels in ratios.
    kernels = np.stack(
        [
            probe.kernels() * np.outer(probe.lengths, probe.lengths)[..., None, None]
            for probe in map(probe_of, gradients)
        ]
    )
    for statistics in (
        np.stack([kernels[:, 0, 1], kernels[:, 0, 0], kernels[:, 1, 1]], axis=1),
        np.stack([kernels[:, 0].sum(axis=1), kernels[:, 0, 0]], axis=1),
    ):
        told = np.diag(covariances(statistics).mean(axis=0))
        found = mean_of_pairs(statistics).var(axis=0)
        assert (0.9 * found < told).all()
        assert (told < most * found).all()


def test_the_covariances_by_hand():
    """The estimates without each chunk in turn."""
    kernels = probe_of(np.random.default_rng(0).normal(size=(6, 2, 5))).kernels()
    statistics = np.stack([kernels[0, 1], kernels[0, 0]])
    kept = [[k for k in range(6) if k != left_out] for left_out in range(6)]
    without = np.array([mean_of_pairs(statistics[:, chunks][:, :, chunks]) for chunks in kept])
    expected = 5 / 6 * (without - without.mean(axis=0)).T @ (without - without.mean(axis=0))
    np.testing.assert_allclose(covariances(statistics), expected)


CASES = {
    "clear": {"cosine": -0.5, "size": 50, "length": 3.0, "shared": 0.0},
    "shared noise": {"cosine": 0.0, "size": 50, "length": 4.0, "shared": 0.9},
    "missing labels": {"cosine": -0.5, "size": 50, "length": 3.0, "shared": 0.3, "missing": 0.4},
    "three tasks": {"cosine": -0.6, "size": 60, "length": 2.5, "shared": 0.2, "tasks": 3},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_intervals_hold_what_they_promise(case):
    """95% of them the truth, in 400 trainings; a mean of batch cosines is far off."""
    rng = np.random.default_rng(2)
    tasks = case.get("tasks", 2)
    truth = at_angle(case["cosine"], case["size"], case["length"], tasks)
    kept = 1 + sum(truth[0] @ truth[j] for j in range(1, tasks)) / (truth[0] @ truth[0])
    hits = {"kept": 0, "cosine": 0}
    errors = []
    for _ in range(400):
        probes = []
        for step in range(10):
            gradients = noisy(rng, truth, 16, case["shared"])
            gradients[rng.random(gradients.shape[:2]) < case.get("missing", 0)] = 0
            probes.append(probe_of(gradients, step=step))
        found = summarize_probes(probes, TASKS[:tasks])
        # Labels are missing from every task alike, so the ledger is what it was.
        for name, estimate, true in (
            ("kept", found["tasks"]["a"]["kept"], kept),
            ("cosine", found["pairs"][0]["cosine"], case["cosine"]),
        ):
            hits[name] += estimate["low"] <= true <= estimate["high"]
        errors.append(found["pairs"][0]["cosine"]["value"] - case["cosine"])
    assert all(0.92 <= count / 400 <= 0.99 for count in hits.values()), hits
    assert abs(np.mean(errors)) < 0.02


@pytest.mark.parametrize("rows", ["new", "the same"])
def test_intervals_are_also_about_the_rows_that_there_are(rows):
    """Where all probes take a chunk from the same rows, they are little more than one."""
    rng = np.random.default_rng(9)
    truth = at_angle(0.3, 50, 4.0)
    hits = 0
    for _ in range(400):
        of_rows = noisy(rng, truth, 16)
        chunks = [noisy(rng, truth, 16) if rows == "new" else of_rows for _ in range(10)]
        probes = [probe_of(gradients, step=step) for step, gradients in enumerate(chunks)]
        found = summarize_probes(probes, TASKS[:2])["pairs"][0]["cosine"]
        hits += found["low"] <= 0.3 <= found["high"]
    assert 0.92 <= hits / 400 <= 0.99


def test_noise_alone_gives_no_number():
    rng = np.random.default_rng(3)
    said = 0
    for _ in range(200):
        probes = [probe_of(noisy(rng, np.zeros((2, 50)), 16, 0.8)) for _ in range(10)]
        said += summarize_probes(probes, TASKS[:2])["pairs"][0]["cosine"]["value"] is not None
    assert said <= 2


def test_a_probe_counts_for_the_steps_around_it():
    """By hand: from 0 to 1 and 1 to 101 half the steps each, and without noise."""
    cosines = np.array([1.0, 0.5, -0.5])
    probes = [
        probe_of(np.tile(at_angle(cosine, 3, 1.0), (4, 1, 1)), updates=np.ones((4, 2)), step=step)
        for cosine, step in zip(cosines, (0, 1, 101), strict=True)
    ]
    found = summarize_probes(probes, TASKS[:2])
    mean = np.average(cosines, weights=[0.5, 50.5, 50])
    assert found["pairs"][0]["cosine"]["value"] == pytest.approx(mean)
    ledger = found["tasks"]["a"]
    assert ledger["kept"]["value"] == pytest.approx(1 + mean)
    assert ledger["kept_with_surgery"]["value"] == pytest.approx(1 + mean)


@pytest.mark.parametrize("places", ["even", "squares", "half squares"])
def test_the_ledger_does_not_depend_on_the_places(places):
    """The tasks help each other in the first steps, where nearly all is signal, and not after."""
    steps = {
        "even": np.arange(0, 2000, 10),
        "squares": np.arange(45) ** 2,
        "half squares": np.arange(63) ** 2 // 2,
    }[places]

    def sums_of(steps):
        """Signal of a task, and what the other adds, at these steps."""
        signal = 0.05 + 0.95 * np.exp(-steps / 30)
        return signal, signal * (0.9 * np.exp(-steps / 300) - 0.3)

    def at(step):
        signal, added = sums_of(step)
        # Noise, a coordinate of its own for each chunk and task.
        gradients = np.zeros((16, 2, 2 + 32))
        gradients[:, :, :2] = at_angle(added / signal, 2, math.sqrt(signal))
        for chunk, task in itertools.product(range(16), range(2)):
            gradients[chunk, task, 2 + 2 * chunk + task] = math.sqrt(1 - signal)
        return probe_of(gradients, step=int(step))

    found = summarize_probes([at(step) for step in steps], TASKS[:2])
    signal, added = map(np.sum, sums_of(np.arange(2000)))
    assert found["tasks"]["a"]["kept"]["value"] == pytest.approx(1 + added / signal, abs=0.03)


def test_a_drift_is_told():
    rng = np.random.default_rng(4)
    probes = [
        probe_of(noisy(rng, at_angle(cosine, 50, 3.0), 16), step=10 * number)
        for number, cosine in enumerate(np.linspace(0.7, -0.7, 24))
    ]
    pair = summarize_probes(probes, TASKS[:2])["pairs"][0]
    assert pair["thirds"][0]["low"] > 0.3
    assert pair["thirds"][2]["high"] < -0.3
    assert pair["trend"]["high"] < -0.7
    assert abs(pair["cosine"]["value"]) < 0.1
    values = [part["cosine"]["value"] for part in pair["course"]]
    assert values == sorted(values, reverse=True)
    assert [part["step"] for part in pair["course"]] == [
        230 / 16 * part for part in range(1, 16, 2)
    ]


def test_backwards_a_trend_and_its_interval_are_the_opposite():
    rng = np.random.default_rng(0)
    chunks = [noisy(rng, at_angle(cosine, 40, 2), 16) for cosine in np.linspace(0.95, 0, 12)]
    one, other = (
        summarize_probes([probe_of(g, step=10 * n) for n, g in enumerate(order)], TASKS[:2])
        for order in (chunks, chunks[::-1])
    )
    forwards, backwards = (found["pairs"][0]["trend"] for found in (one, other))
    opposite = {"value": -forwards["value"], "low": -forwards["high"], "high": -forwards["low"]}
    assert backwards == pytest.approx(opposite, abs=1e-5)
    # Its ends are not equally far.
    assert abs(forwards["low"] + forwards["high"] - 2 * forwards["value"]) > 1e-3


@given(
    st.integers(0, 2**32),
    st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
)
def test_the_ledger_is_about_the_weighted_losses(seed, weights, units):
    """In other units, with the weights that undo it, nothing changes; its terms add up."""
    rng = np.random.default_rng(seed)
    gradients = noisy(rng, at_angle(-0.3, 20, 10.0, tasks=3), 8)
    found = summarize_probes([probe_of(gradients, weights)], TASKS)
    scales = np.array(units)
    scaled = probe_of(gradients * scales[:, None], np.array(weights) / scales)
    other = summarize_probes([scaled], TASKS)
    for task in TASKS:
        ledger = found["tasks"][task]
        total = 1 + sum(term["value"] for term in ledger["from_others"].values())
        assert ledger["kept"]["value"] == pytest.approx(total, rel=1e-6, abs=1e-6)
        for end in ("value", "low", "high"):
            expected = other["tasks"][task]["kept"][end]
            assert ledger["kept"][end] == pytest.approx(expected, rel=1e-6, abs=1e-6)
    truth = gradients.mean(axis=0)
    assert found["tasks"]["a"]["from_others"]["b"]["value"] == pytest.approx(
        weights[1] * truth[0] @ truth[1] / (weights[0] * truth[0] @ truth[0]), abs=1.5
    )


def test_the_ledger_of_an_update_with_weights_of_its_own():
    rng = np.random.default_rng(5)
    gradients = noisy(rng, at_angle(-0.5, 20, 5.0), 16)
    ones = summarize_probes([probe_of(gradients, updates=np.ones((16, 2)))], TASKS[:2])
    ledger = ones["tasks"]["a"]
    assert ledger["kept_with_surgery"] == pytest.approx(ledger["kept"])
    # Without the other task, all of its own progress is left.
    alone = summarize_probes([probe_of(gradients, updates=np.tile([1.0, 0.0], (16, 1)))], TASKS[:2])
    assert alone["tasks"]["a"]["kept_with_surgery"]["value"] == pytest.approx(1)
    assert alone["tasks"]["a"]["kept"]["value"] < 0.7
    assert (
        summarize_probes([probe_of(gradients)], TASKS[:2])["tasks"]["a"]["kept_with_surgery"]
        is None
    )


def test_the_noise_scale_is_the_rows_of_which_half_is_signal():
    rng = np.random.default_rng(6)
    truth = at_angle(0, 50, 2.0)  # of length 2, beside noise of 50
    found = summarize_probes([probe_of(noisy(rng, truth, 16)) for _ in range(100)], TASKS[:2])
    assert found["tasks"]["a"]["signal_share"] == pytest.approx(4 / 54, rel=0.1)
    assert found["tasks"]["a"]["noise_scale"] == pytest.approx(32 * 50 / 4, rel=0.15)


def test_the_share_of_signal_is_about_the_chunks_that_have_labels():
    """Without noise it is 1, and the noise scale 0, in however many chunks a task has labels."""
    probes = []
    for step, labelled in enumerate((16, 12, 9)):
        gradients = np.tile(at_angle(0, 3, 1.0), (16, 1, 1))
        gradients[labelled:, 1] = 0
        probes.append(probe_of(gradients, step=step))
    for found in summarize_probes(probes, TASKS[:2])["tasks"].values():
        assert found["signal_share"] == pytest.approx(1)
        assert found["noise_scale"] == pytest.approx(0, abs=1e-4)


def test_too_few_chunks():
    with pytest.raises(ValueError, match="a probe of 3 chunks: take at least 4"):
        probe_of(np.ones((3, 2, 4)))


def test_probes_of_different_chunks():
    probes = [probe_of(np.ones((chunks, 2, 4))) for chunks in (4, 6)]
    with pytest.raises(ValueError, match=r"probes of \[4, 6\] chunks: take as many at each"):
        summarize_probes(probes, TASKS[:2])


def test_no_probe():
    assert summarize_probes([], TASKS) == {}
