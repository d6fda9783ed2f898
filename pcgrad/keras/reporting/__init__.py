"""What a compiled model reports in training: losses and metrics by task, and conflicts."""
