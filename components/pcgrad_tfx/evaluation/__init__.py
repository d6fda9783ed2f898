"""How a model is judged, and against which one: `from pcgrad_tfx.evaluation import eval_config`."""

from pcgrad_tfx.evaluation.eval_config import TaskResult, eval_config, read_results

__all__ = ["TaskResult", "eval_config", "read_results"]
