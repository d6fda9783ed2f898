"""How times and memory are measured: one core, CPU time, variants interleaved, ratios by pairs."""

from __future__ import annotations

import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

# A variant that takes very long is measured less often.
_PATIENCE_SECONDS = 30.0
_FEWEST_ROUNDS = 3


def pin_to_one_core() -> None:
    """Pins the process to one core, on Linux."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def interleaved_seconds(
    steps: Mapping[str, Callable[[], object]], rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Times steps in turn, so that whatever disturbs the machine disturbs them all.

    Each round has an order of its own: a step takes up to 4% longer after one that needs much
    memory than after another.

    Args:
        steps: Compiled steps by name; each is called once first, which does not count.
        rounds: How often each is timed at least; after half a minute three times are enough.
        seconds: How much CPU time to spend in all, if that allows more rounds.

    Returns:
        CPU seconds by name, round by round.
    """
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    total = 0.0
    order, generator = list(steps), random.Random(0)
    while any(_goes_on(values, rounds) for values in times.values()) or (
        total < seconds and len(next(iter(times.values()))) < 10 * rounds
    ):
        generator.shuffle(order)
        for name in order:
            if sum(times[name]) > _PATIENCE_SECONDS and len(times[name]) >= _FEWEST_ROUNDS:
                continue
            start = time.process_time()
            steps[name]()
            times[name].append(time.process_time() - start)
            total += times[name][-1]
    return times


def _goes_on(values: list[float], rounds: int) -> bool:
    patient = sum(values) <= _PATIENCE_SECONDS or len(values) < _FEWEST_ROUNDS
    return len(values) < rounds and patient


def median_ratio(values: list[float], others: list[float]) -> float:
    """The median over the rounds of one time divided by the other of the same round."""
    return statistics.median(a / b for a, b in zip(values, others, strict=False))


def memory_mb(field: str) -> float:
    """This process's resident memory: "VmRSS" now, "VmHWM" at its peak. On Linux only."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    raise ValueError(f"/proc/self/status has no {field}")


def footprint(trace: Callable[[], Callable[[], object]], runs: int = 2) -> dict[str, float]:
    """What the first steps cost: the time to trace one, the growth of memory in running it.

    Args:
        trace: Makes the step.
        runs: How often it is run.
    """
    before = memory_mb("VmRSS")
    start = time.process_time()
    step = trace()
    seconds = time.process_time() - start
    for _ in range(runs):
        step()
    growth = max(0.0, memory_mb("VmHWM") - before)
    return {"trace_seconds": seconds, "memory_growth_mb": growth}


def in_new_process(script: str, *arguments: str) -> dict[str, float]:
    """Runs a script that prints JSON, and reads it."""
    # Google's libraries warn of Python 3.10 in every process.
    python = [sys.executable, "-W", "ignore::FutureWarning"]
    command = [*python, script, *arguments]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(finished.stdout)
