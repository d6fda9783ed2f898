"""TFX's components that read examples by Beam, which takes a truncated file for a shorter one."""

from pcgrad_tfx.validation.whole_examples.component import Evaluator, StatisticsGen, Transform

__all__ = ["Evaluator", "StatisticsGen", "Transform"]
