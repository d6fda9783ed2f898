"""A peer: TorchJD's PCGrad on the same dense networks, as a ratio to its own T backward passes.

Its `autojac` forms the tasks' gradients; its `autogram` engine, the relative of `pcgrad.layerwise`,
makes their Gram matrix without storing them, and differentiates once more.

In an environment of its own (`pip install torch torchjd`):

    python benchmarks/steps/step_time_torchjd.py   # writes results/step_time_torchjd.json

Measured as in `step_time.py`. Absolute times of different frameworks say little about a surgery;
what it adds to the backward passes of its own framework does.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import itertools
import json
import pathlib
import sys
from collections.abc import Callable

import torch
from torch.nn import functional
from torchjd.aggregation import PCGrad, PCGradWeighting
from torchjd.autogram import Engine
from torchjd.autojac import jac_to_grad, mtl_backward

# Nothing of the project is installed there.
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from benchmarks.measuring import interleaved_seconds, median_ratio, pin_to_one_core

# Rows of a batch and widths of the trunk, as in `networks.NETWORKS`.
_NETWORKS = {
    "a": (256, (64, 192, 128, 96)),
    "b": (512, (256, 1024, 1024, 768)),
    "b, batch 128": (128, (256, 1024, 1024, 768)),
}
_LEARNING_RATE = 1e-4
_RESULTS = pathlib.Path(__file__).parents[1] / "results" / "step_time_torchjd.json"


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=_NETWORKS, default=list(_NETWORKS))
    parser.add_argument("--tasks", nargs="+", type=int, default=[2, 3, 5, 10, 20, 40])
    parser.add_argument("--rounds", type=int, default=15, help="at least (default: 15)")
    parser.add_argument("--seconds", type=float, default=10, help="of CPU time, for more rounds")
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS, help="a JSON file")
    args = parser.parse_args()
    pin_to_one_core()
    torch.set_num_threads(1)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchjd")]
    print(
        ", ".join(versions),
        "\nnetwork        T   floor ÷ plain   PCGrad ÷ floor   autogram ÷ floor",
    )
    rows = []
    for network in args.networks:
        for tasks in args.tasks:
            steps = _steps(network, tasks)
            times = interleaved_seconds(steps, args.rounds, args.seconds)
            floor = median_ratio(times["floor"], times["plain"])
            surgery = median_ratio(times["PCGrad"], times["floor"])
            autogram = median_ratio(times["autogram"], times["floor"])
            print(f"{network:12} {tasks:3} {floor:15.2f} {surgery:16.2f} {autogram:18.2f}")
            rows.append(
                {
                    "network": network,
                    "tasks": tasks,
                    "floor / plain": floor,
                    "PCGrad / floor": surgery,
                    "autogram / floor": autogram,
                }
            )
            args.output.write_text(
                json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n"
            )


def _steps(network: str, tasks: int) -> dict[str, Callable[[], object]]:
    batch, widths = _NETWORKS[network]
    torch.manual_seed(1)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    trunk = torch.nn.Sequential(*layers)
    heads = torch.nn.ModuleList(torch.nn.Linear(widths[-1], 1) for _ in range(tasks))
    shared, own = list(trunk.parameters()), list(heads.parameters())
    optimizer = torch.optim.SGD([*shared, *own], _LEARNING_RATE)
    x, y = torch.randn(batch, widths[0]), torch.randint(0, 2, (batch, tasks)).float()

    def forward(trunk: torch.nn.Module = trunk) -> tuple[torch.Tensor, list[torch.Tensor]]:
        optimizer.zero_grad()
        features = trunk(x)
        logits = [head(features)[:, 0] for head in heads]
        loss = functional.binary_cross_entropy_with_logits
        return features, [loss(logit, y[:, i]) for i, logit in enumerate(logits)]

    def plain() -> None:
        _, losses = forward()
        torch.stack(losses).sum().backward()
        optimizer.step()

    def floor() -> object:
        _, losses = forward()
        gradients = []
        for head, loss in zip(heads, losses, strict=True):
            reached = [*shared, *head.parameters()]
            gradients.append(torch.autograd.grad(loss, reached, retain_graph=True))
            for parameter, gradient in zip(reached, gradients[-1], strict=True):
                parameter.grad = gradient
        optimizer.step()
        return gradients

    def pcgrad() -> None:
        features, losses = forward()
        mtl_backward(losses, features)
        jac_to_grad(shared, PCGrad())
        optimizer.step()

    # A trunk of its own: the engine watches every forward pass of the modules that it is given.
    watched = copy.deepcopy(trunk)
    engine, weighting = Engine(watched, batch_dim=None), PCGradWeighting()
    optimizer.add_param_group({"params": list(watched.parameters())})

    def autogram() -> None:
        _, losses = forward(watched)
        stacked = torch.stack(losses)
        stacked.backward(weighting(engine.compute_gramian(stacked)))
        optimizer.step()

    return {"plain": plain, "floor": floor, "PCGrad": pcgrad, "autogram": autogram}


if __name__ == "__main__":
    main()
