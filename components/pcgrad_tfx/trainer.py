"""The Trainer's `run_fn="pcgrad_tfx.trainer.run_fn"`; this file may be a `module_file`, too."""

from pcgrad_tfx.training.trainer import run_fn

__all__ = ["run_fn"]
