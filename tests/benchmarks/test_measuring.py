"""Variants are timed fairly."""

import itertools

from benchmarks.measuring import interleaved_seconds, median_ratio


def test_every_round_has_each_step_once_in_an_order_of_its_own():
    called = []
    steps = {name: (lambda name=name: called.append(name)) for name in "abcd"}
    times = interleaved_seconds(steps, rounds=40, seconds=0)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abcd", 40)
    assert called[:4] == list("abcd")  # the calls that do not count
    rounds = [tuple(called[i : i + 4]) for i in range(4, len(called), 4)]
    assert all(sorted(one) == list("abcd") for one in rounds)
    # Each follows each other one.
    pairs = {pair for one in rounds for pair in itertools.pairwise(one)}
    assert len(pairs) == 4 * 3


def test_ratios_are_taken_round_by_round():
    assert median_ratio([2.0, 30.0, 4.0], [1.0, 10.0, 4.0]) == 2.0
