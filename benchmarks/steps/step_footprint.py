"""What the first steps cost, in a process of its own: the time to trace, the growth of memory."""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks.measuring import footprint
from benchmarks.one_core import use_one_core
from benchmarks.steps.networks import NETWORKS
from benchmarks.steps.steps import STEPS


def main() -> None:
    """Measures one step and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("tasks", type=int)
    parser.add_argument("step", choices=STEPS)
    args = parser.parse_args()
    use_one_core()
    problem = NETWORKS[args.network].build(args.tasks)
    found = footprint(
        tf.function(STEPS[args.step](problem)).get_concrete_function,
        runs=1 if args.step == "textbook" else 2,
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
