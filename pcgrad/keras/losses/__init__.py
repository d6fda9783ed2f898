"""The losses of several tasks: what they are, and which labels count."""
