"""What a network learns: `from pcgrad_tfx.tasks import Task`."""

from pcgrad_tfx.config.tasks import Gate, Task, check_tasks, parse_tasks

__all__ = ["Gate", "Task", "check_tasks", "parse_tasks"]
