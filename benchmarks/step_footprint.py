"""What the first steps cost, in a process of its own: the time to trace, the growth of memory."""

from __future__ import annotations

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks.measuring import memory_mb, use_one_core
from benchmarks.networks import NETWORKS
from benchmarks.steps import STEPS


def main() -> None:
    """Measures one step and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("tasks", type=int)
    parser.add_argument("step", choices=STEPS)
    args = parser.parse_args()
    use_one_core()
    problem = NETWORKS[args.network].build(args.tasks)
    before = memory_mb("VmRSS")
    start = time.process_time()
    step = tf.function(STEPS[args.step](problem)).get_concrete_function()
    trace = time.process_time() - start
    step()
    if args.step != "textbook":
        step()
    growth = max(0.0, memory_mb("VmHWM") - before)
    print(json.dumps({"trace_seconds": trace, "memory_growth_mb": growth}))


if __name__ == "__main__":
    main()
