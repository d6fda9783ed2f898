"""The runner for one machine."""
