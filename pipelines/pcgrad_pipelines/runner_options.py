"""What to learn, and how to train: the options that all runners of the pipeline share."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from pcgrad_pipelines.config import PipelineConfig

DEFAULT_CONFIG = pathlib.Path(__file__).parent / "taxi.toml"

# By name of the option and of the field of `Training`: the arguments of `add_argument`.
_TRAINING: dict[str, dict[str, Any]] = {
    "surgery": {
        "metavar": "METHOD",
        "help": 'how the tasks are combined: "pcgrad", "none" or another of docs/methods.md',
    },
    "epochs": {"metavar": "N", "type": int, "help": "passes over the training data"},
    "batch_size": {"metavar": "N", "type": int, "help": "rows of a batch"},
    "learning_rate": {"metavar": "X", "type": float, "help": "of the optimizer"},
    "seed": {"metavar": "N", "type": int, "help": "of all that is random"},
}


def add_config_option(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds `--config`, whose help promises `DEFAULT_CONFIG`."""
    parser.add_argument(
        "--config", metavar="FILE", default=default,
        help="what to learn from which data, a TOML file (default: the Chicago taxi trips)",
    )  # fmt: skip


def add_training_options(parser: argparse._ActionsContainer, *names: str) -> None:
    """Adds options that take the place of what the configuration says of training.

    Args:
        parser: What they are added to.
        *names: Fields of `Training`: surgery, epochs, batch_size, learning_rate, seed.
    """
    for name in names:
        parser.add_argument(f"--{name.replace('_', '-')}", **_TRAINING[name])


def with_training_options(config: PipelineConfig, args: argparse.Namespace) -> PipelineConfig:
    """The configuration with the options of `add_training_options` in place of its own values.

    Raises:
        ConfigError: A value is wrong.
    """
    return config.with_overrides(**{name: getattr(args, name, None) for name in _TRAINING})
