"""What probes cost: a training of the default network with them, divided by one without.

    python pipelines/local_runner.py --output build/taxi
    python -m benchmarks.conflict.cost build/taxi/artifacts

Trains on what a finished run has transformed, as its Trainer did, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow_transform as tft

from pcgrad_tfx.comparison.methods import Candidate
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS
from pcgrad_tfx.comparison.trainings import Job, Trainings
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.training.inputs import read_inputs


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=pathlib.Path, help="artifacts of a finished run")
    parser.add_argument("--surgery", choices=["pcgrad", "none"], default="pcgrad")
    parser.add_argument("--epochs", type=int, help="as the run's by default")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    seconds: dict[int, list[float]] = {0: [], 96: []}
    for turn in range(args.rounds):
        for probes in sorted(seconds, reverse=bool(turn % 2)):
            trainings = trainings_of(args.artifacts, probes, args.epochs)
            begun = time.perf_counter()
            candidate = Candidate(method=EQUAL_WEIGHTS, surgery=args.surgery)
            trainings.run(Job(candidate, seed=0, is_probed=True))
            seconds[probes].append(time.perf_counter() - begun)
    without, with_them = (statistics.median(values) for values in seconds.values())
    print(
        f"without {without:.1f} s, with {with_them:.1f} s: {with_them - without:+.1f} s, "
        f"ratio {with_them / without:.3f}"
    )


def trainings_of(artifacts: pathlib.Path, probes: int, epochs: int | None = None) -> Trainings:
    """Repeats of the training of a finished run.

    Args:
        artifacts: Its folder of artifacts.
        probes: Of each training.
        epochs: As the run's by default.
    """
    record = json.loads(_newest(artifacts, "Trainer/model_run/*/training.json").read_text())
    changed = {"probes": probes, **({"epochs": epochs, "patience": 0} if epochs else {})}
    config = TrainerConfig.model_validate({**record["settings"], **changed})
    examples = _newest(artifacts, "Transform/transformed_examples/*")
    train, held_out = ([f"{examples}/Split-{split}/*"] for split in ("train", "eval"))
    graph = tft.TFTransformOutput(str(_newest(artifacts, "Transform/transform_graph/*")))
    inputs = read_inputs(config, graph, train)
    return Trainings(inputs, train, held_out, inputs.data.batches(held_out))


def _newest(artifacts: pathlib.Path, pattern: str) -> pathlib.Path:
    found = list(artifacts.glob(pattern))
    if not found:
        raise FileNotFoundError(f"there is no {artifacts / pattern}: run the pipeline there first")
    return max(found, key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    main()
