"""Whether the ledger of a training depends on the number of its probes.

    python pipelines/local_runner.py --output build/taxi
    python -m benchmarks.conflict.places build/taxi/artifacts

Repeats one training of a finished run, on what it has transformed, with more and more probes.
"""

from __future__ import annotations

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.conflict.cost import trainings_of
from pcgrad_tfx.comparison.methods import Candidate
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS
from pcgrad_tfx.comparison.trainings import Job


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=pathlib.Path, help="of a finished run")
    parser.add_argument("--probes", nargs="+", type=int, default=[24, 48, 96])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for probes in args.probes:
        job = Job(Candidate(method=EQUAL_WEIGHTS), seed=args.seed, is_probed=True)
        run = trainings_of(args.artifacts, probes).run(job)
        found = run.probes or {}
        print(f"{found['probes']} probes, the last at step {found['last_step']}")
        for task, said in found["tasks"].items():
            kept = said["kept"]
            if kept["value"] is None:
                print(f"  {task}: noise")
            else:
                print(f"  {task}: {kept['value']:.0%} ({kept['low']:.0%} to {kept['high']:.0%})")


if __name__ == "__main__":
    main()
